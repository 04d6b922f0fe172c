"""Every limit by name, with its unit and its reason. For a limit that a site may set, the value here is the default.

Bytes unless the name says otherwise; `_S` is seconds.
"""

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

# Before authentication: what a stranger can make us hold or wait for.
PREAUTH_DEADLINE_S = 10.0  # absolute, for TLS + GSS + policy together: slow-loris ends here
PREAUTH_FRAME = 64 * KIB  # a Kerberos token with a large PAC stays below this
PREAUTH_TOTAL = 256 * KIB  # all bytes of a connection before it is authenticated
GSS_ROUNDS = 4  # krb5 with mutual authentication needs two; DCE style three
GSS_STEP_S = 3.0  # one step; a silent KDC would block for 27 s
GSS_THREADS = 16  # steps at one time; more wait for their turn, within their deadline
GSS_WAITING = 64  # strangers' steps that wait; more are shed. One takes a millisecond
PROXY_HEADER = 2 * KIB  # of the PROXY protocol: 52 bytes of addresses, and what a proxy adds
CLOCK_SKEW_S = 300.0  # how far apart clocks may be if krb5.conf does not say: MIT's default
KEYTAB = 1 * MIB  # one key takes some 80 bytes: thousands of services and versions
PROOF = 256  # a MIC over the exporter value; krb5's measure 28
STARTUPS_BEGIN = 10  # unauthenticated connections from which new ones are dropped at random ...
STARTUPS_RATE = 0.3  # ... with this probability at first, rising to 1 at CONNECTIONS_UNAUTHENTICATED (MaxStartups)
PENALTY_AUTHENTICATION_S = 5.0  # per source, added up: failed to authenticate
PENALTY_SILENT_S = 1.0  # sent nothing
PENALTY_DEADLINE_S = 10.0  # held a place until the deadline
PENALTY_FROM_S = 15.0  # enforced from this sum on (OpenSSH's PerSourcePenalties min)
PENALTY_MOST_S = 600.0  # and never more than this
PENALTY_SOURCES = 65_536  # sources remembered
BACKLOG = 128  # connections that the kernel holds until they are accepted
CONNECTIONS_PER_SOURCE = 10  # unauthenticated ones of one address
CONNECTIONS_UNAUTHENTICATED = 100  # in all
CONNECTIONS_PER_KNOWN_SOURCE = 256  # unauthenticated ones of a known address: a login node's users
CONNECTIONS_KNOWN = 1024  # of all such addresses, in addition to the strangers'
KNOWN_SOURCE_S = 7 * 86400.0  # an address stays known for this long after a client was admitted from there
KNOWN_RENEWAL_S = 3600.0  # between two updates of it, so that the file is not written for each connection
KNOWN_SOURCES = 16_384  # the least recently seen is dropped
KNOWN_FILE = 1 * MIB  # of known sources; one line is at most 56 bytes
KNOWN_WRITE_S = 10.0  # between two writes of the file
CONNECTIONS = 4096  # in all, authenticated ones included

# After authentication.
FRAME_CONTROL = 4 * MIB  # one msgpack message; a manifest of 16,384 entries is some 2 MiB
COMPRESS_FROM = 256  # a smaller chunk is not worth a zstd frame
WRITE_HIGH = 1 * MIB  # unsent bytes from which `Channel.drain` waits
CLOSE_S = 2.0  # a closing channel has this long to send what it still holds
FRAME_BULK = 256 * KIB  # one chunk of a blob or output, so that jobs interleave
ZSTD_WINDOW_LOG = 23  # 8 MiB: most that a decompressor may be made to allocate
JOBS_PER_CHANNEL = 1024  # asked or running; a make -j1000 fits
JOBS_WAITING = 4096  # of one principal, in all its channels
ATTEMPTS = 9  # per compile that the audit log distinguishes; a client makes three
TURNS_RATE = 0.5  # of the front's time that one principal's full turns may take; the rest is for others
TURNS_BURST_S = 0.5  # ... and beyond that, at once: some 150 MiB of sources
RATE_BURST_S = 10.0  # a rate of jobs may be saved up for this long
CONNECTIONS_PER_PRINCIPAL = 64  # one for each machine or container that a user builds on
LEASE_S = 0.25  # an Invite holds a slot this long
SUBMIT_S = 60.0  # from Invite to the last blob
HEARTBEAT_S = 5.0  # a Ping goes out when nothing else did
HEARTBEAT_LOST_S = 15.0  # nothing heard for this long: the channel is gone
FRAMES = 64  # taken from the received bytes at a time: a full turn of messages
TURN = 1 * MIB  # bytes of a channel that are handled in one turn of the loop; then others get their turn
TURN_FRAME = TURN // FRAMES  # what a small frame counts for there: some 50 microseconds
FRAME_S = 30.0  # for one whole frame to arrive: the largest at 140 kB/s
READER_S = 30.0  # for a peer to read what exceeds WRITE_HIGH: at least 35 kB/s
SEND_BACKLOG = 64 * MIB  # unsent bytes towards one peer; more and it is cut off as a slow reader

# One job.
ARGUMENTS = 4096
ARGUMENT = 128 * KIB  # MAX_ARG_STRLEN of Linux
ARGUMENTS_TOTAL = 1 * MIB
SOURCES = 64  # of one command, compiled one by one and delivered together
RESPONSE_FILES = 64  # named by one command, nested ones included; a build tool writes one
RESPONSE_BYTES = 1 * MIB  # of all of them together, as ARGUMENTS_TOTAL
ENVIRONMENT_TOTAL = 64 * KIB
MANIFESTS = 4096  # of one principal that a job may name by digest alone; at some 5 kB each
MANIFEST_BYTES = 32 * MIB  # of them, as sent; the largest are some 500 kB
MANIFEST_BYTES_IN_ALL = 256 * MIB  # of all principals
MANIFEST_ENTRIES = 16384
PATH = 4096  # PATH_MAX
PATH_COMPONENT = 255  # NAME_MAX
PATH_DEPTH = 128  # components; deeper trees are an attack on the tree builder
BLOB = 64 * MIB  # one source or header
JOB_SOURCE = 256 * MIB  # all blobs of one job together
WALL_S = 60.0
CPU_S = 60.0
MEMORY = 2 * GIB
PROCESSES = 64
JOB_PROCESSORS = 2  # at one time, where control groups bound it: cc1 and as with -pipe
OUTPUT = 256 * MIB
DIAGNOSTICS = 1 * MIB
JOBS_PER_PRINCIPAL = 64

# Server.
ACCOUNTS = 4096  # principals whose rate of jobs is remembered after their last channel
RESULTS_WAITING = 1 * GIB  # results that wait for their clients; beyond this, the client with most of them is cut off
DELIVERY_S = 600.0  # for one whole result to reach its client: the largest at 450 kB/s
STORE = 4 * GIB
STORE_PER_PRINCIPAL = 1 * GIB
STORE_CHARGE = 16 * KIB  # the least that a blob counts for: inode, block and index; so 4 GiB is at most 262,144 blobs
STORE_DESCRIPTORS = 3584  # blobs kept open; below a soft RLIMIT_NOFILE of 4,096 with room for connections
STORE_PRINCIPALS = 4096  # whose uploads are remembered at a time
AUDIT_ARGUMENTS = 8 * KIB  # of a job's arguments on its record; the digest covers all
AUDIT_OUTPUTS = 8 * KIB  # of output paths on a job's record; the digest covers all
AUDIT_TEXT = 4 * KIB  # of any other text on a record: a path fits
AUDIT_RECORD = 256 * KIB  # one line; all of the above, escaped in the worst case, stay below it
AUDIT_RESERVE = 64 * KIB  # of the disk, kept for the ends of jobs: some 30 when nothing else can be written
AUDIT_AHEAD = 256 * KIB  # reserved beyond that at a time, so that only one record in a hundred needs more
AUDIT_OWED = 4 * MIB  # records kept in memory while the disk is full; further ones are only counted
AUDIT_CHECKPOINT_RECORDS = 1000  # between two signatures: how much a cut or forged tail can hide without a later one
AUDIT_CHECKPOINT_S = 60.0  # a record waits this long for its signature at most
AUDIT_UNSENT = 1024  # checkpoints that wait for an unreachable collector; the newest covers all
AUDIT_COLLECTORS = 8  # each costs a thread
AUDIT_PATTERN = 1 * KIB  # of one pattern of secrets
AUDIT_PATTERNS = 64
AUDIT_PATTERN_MEMORY = 8 * MIB  # of one compiled pattern; RE2 refuses those that need more
AUDIT_FINDINGS = 1000  # anomalies reported; a log with more needs other rules
AUDIT_ADDRESSES = 4096  # of one principal remembered while a log is read
AUDIT_TORN = 1 * MIB  # of torn tails kept beside the log
STRANGER_SOURCES = 64  # summary records a minute; further sources are counted as one
DENIALS_PER_PRINCIPAL = 10  # records a minute that one principal who may not compile can cause; the rest are counted
DENIALS = 300  # and all of them together
STRANGERS_PER_DAY = 16 * MIB  # of summary records; then one record a minute for all
POLICY_FILE = 1 * MIB  # of YAML; more is refused before it is parsed
POLICY_PARTS = 256  # files in a folder that a policy includes
POLICY_INCLUDED = 4 * MIB  # of YAML in all of them
GROUP_LOOKUP_S = 2.0  # NSS behind SSSD or LDAP; two in a row stay within the 5 s after which a reload has taken effect
GROUP_REFRESH_S = 60.0  # between look-ups of unix groups: the longest that a new member waits
GROUP_STALE_S = 86400.0  # the last answer is used for this long while look-ups fail; then the group is unknown
GROUP_ANSWER = 16 * MIB  # what one look-up may print: 100,000 accounts are some 8 MiB
GROUP_FILE = 8 * MIB  # members of one group: 200,000 principals
POLICY_RULES = 1024  # checked one by one for each decision
POLICY_DEPTH = 16  # nested lists and maps in the policy; the schema needs five
PRINCIPAL = 1024  # one name as Kerberos writes it, escapes included; real ones stay below 256
SETTINGS_FILE = 1 * MIB  # a daemon's or client's configuration; a larger file is the wrong one

# Client.
SPECS = 16 * KIB  # of a specs file: those that options can express have some 100 bytes
INPUT = 4 * MIB  # a source on standard input, like the launcher's INPUT_MAX: people do not write larger ones
LAUNCHER_MESSAGE = 4 * MIB  # argv and environment of one compile
LAUNCHER_SILENCE_S = 5.0  # the launcher gives the agent up after this long without a frame
AGENT_KEEPALIVE_S = 0.9  # how often it checks its tickets too: kdestroy is noticed within a second
AGENT_IDLE_S = 600.0
JOURNAL_REASONS = 128  # different reasons remembered for `why`; the oldest is dropped
JOURNAL_EXAMPLES = 5  # of details kept for one reason
JOURNAL_ARGUMENTS = 64  # of a command that servers and the local compiler disagree on
JOURNAL_DISAGREEMENTS = 20  # remote failures that a local compile contradicted
JOURNAL_SERVERS = 256  # counted one by one
JOURNAL_TEXT = 512  # of a detail, source name or argument, so that all of the above stay below JOURNAL_FILE
JOURNAL_FILE = 4 * MIB  # of the persisted record; a larger one is not ours
JOURNAL_WRITE_S = 5.0  # after this long without a write, an event is written at once; others with the next flush
COMPILES_REMEMBERED = 4096  # by what they read; at some 5 kB each
FILES_REMEMBERED = 2 * MANIFEST_ENTRIES  # by digest and directives; half of them are all that one compile can read
DIRECTORY_NAMES_REMEMBERED = 262_144  # in all directories together; at some 90 bytes each
VALUES_SHARED = 65_536  # equal parts of remembered compiles that are kept as one object
TOOLCHAINS_REMEMBERED = 64  # by compiler and PATH; each holds some 60 inotify watches
TOOLCHAIN_DIGESTS = 16_384  # of toolchains' files; gcc has some 400
NATIVE_OPTIONS_REMEMBERED = 256  # different sets of -march=native and similar options; a build has one or two
LOCALES_REMEMBERED = 64  # ways to set LANG and similar variables, by toolchain; a user has one or two
TERMINALS_REMEMBERED = 64  # ways to set TERM and similar variables
SETTINGS_REMEMBERED = 64  # different SECURECC_ environments; each login may have its own
SHARED_TREES_REMEMBERED = 256  # offered by servers, whether this machine has the same or not
REACHED_FILES = 1024  # by the includes of one source; beyond that, asking the compiler is cheaper
RACY_STAT_S = 2.0  # a file or directory that had changed this recently when it was read is read again
SETTLED_S = 45.0  # the same of files that may be mapped for writing: pages are written back within 35 s
WITNESS = 2 * MIB  # the questions of one compile; a large C++ file asks 60 KiB
QUESTIONS = 65_536  # their number: a large C++ file asks 1400, and a client answers some 60,000 a second
RESULT = OUTPUT + 2 * DIAGNOSTICS + WITNESS  # what a client takes as one job's result

# Between front and runner.
WORK_PACKET = 64 * KIB  # one packet's body; larger ones travel in a memfd (a socket's default buffer is 208 KiB)
WORK_BLOBS = 250  # descriptors of one packet; SCM_MAX_FD is 253
WORK_TREE = 16 * MIB  # an encoded WorkTree: a manifest of FRAME_CONTROL with room to spare
WORK_MADE = 200  # descriptors of made files beside one report; a compile makes five
WORK_MADE_LISTED = 4096  # names examined for a job's outputs: a name bomb ends here
TREE_MOUNTPOINTS = 32  # places where one job's files meet a toolchain's directories; gcc needs three
TREE_VARIANTS = 256  # sets of such places that a runner keeps ready for a toolchain
SUPERVISION_S = 0.1  # how often a running job's diagnostics, memory and processor time are checked
PROBE_S = 10.0  # one question to a compiler about itself
TOOLCHAIN_PARTS = 256  # files, or directories of many, by which toolchains are told apart; gcc has 40
TOOLCHAINS_LACKING = 16  # toolchains that one channel asked for in vain and that are recorded; a user has two or three
TOOLCHAIN_LEDGER = 4 * MIB  # of a list of toolchains; one takes some 5 KiB
TOOLCHAIN_RENEWAL_S = 60.0  # between searches for new compilers after a client asked for a missing one
FRONTS = 4  # that one runner serves: one, and any that have not quite gone yet
SUPERVISOR_S = 1.0  # for a message to the service manager, which takes it at once or not at all
KDC_ANSWER = 64 * KIB  # a datagram; an error takes some 150 bytes
GIVEN_SOCKETS = 64  # listening sockets from a service manager; one or two are usual
RUNNER_START_S = 120.0  # for another runner to start: it digests and copies compilers while the one before it works
CATALOGUED = 8 * MIB  # of a program that is searched for the place of its messages; drivers and assemblers take 1 to 2
WRAPPER = 64 * KIB  # a script that runs a compiler; its list is bounded by SETTINGS_FILE
SHARED_TREE = (
    512 * MIB
)  # bytes of one shared tree, which the runner keeps in memory; Debian 12 with many -dev packages: 130 MiB
SHARED_TREE_ENTRIES = 65_536  # of one shared tree
SHARED_TREES = 64  # of one server
SHARED_TREE_LOOK_S = 60.0  # digesting one on the client; 130 MiB take 0.8 s when nothing else runs
TOOLCHAIN_STORE = 1 * GIB  # the runner's copies of toolchains; gcc 12 takes 80 MiB
JOB_TMPFS = 1 * GIB  # the most that one job's tree, outputs included, may hold, whatever its grant says
