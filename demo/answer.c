/* A program that is linked against the library just built, and uses it. */
#include <stdio.h>
#include <string.h>

#include <sodium.h>

int main(void)
{
    static const unsigned char text[] = "abc";
    unsigned char hash[crypto_generichash_BYTES], key[crypto_secretbox_KEYBYTES], nonce[crypto_secretbox_NONCEBYTES];
    unsigned char sealed[sizeof text + crypto_secretbox_MACBYTES], opened[sizeof text];
    unsigned char public_key[crypto_sign_PUBLICKEYBYTES], secret_key[crypto_sign_SECRETKEYBYTES];
    unsigned char signature[crypto_sign_BYTES];
    char hex[2 * sizeof hash + 1];

    if (sodium_init() < 0)
        return 1;
    crypto_generichash(hash, sizeof hash, text, sizeof text - 1, NULL, 0);
    printf("blake2b(\"abc\") %s\n", sodium_bin2hex(hex, sizeof hex, hash, sizeof hash));

    crypto_secretbox_keygen(key);
    randombytes_buf(nonce, sizeof nonce);
    crypto_secretbox_easy(sealed, text, sizeof text, nonce, key);
    if (crypto_secretbox_open_easy(opened, sealed, sizeof sealed, nonce, key) || memcmp(opened, text, sizeof text))
        return 2;
    sealed[0] ^= 1;
    if (!crypto_secretbox_open_easy(opened, sealed, sizeof sealed, nonce, key))
        return 3;
    puts("secretbox      opens what it sealed, and refuses it with one bit turned");

    crypto_sign_keypair(public_key, secret_key);
    crypto_sign_detached(signature, NULL, text, sizeof text, secret_key);
    if (crypto_sign_verify_detached(signature, text, sizeof text, public_key))
        return 4;
    printf("ed25519        signature verifies (libsodium %s)\n", sodium_version_string());
    return 0;
}
