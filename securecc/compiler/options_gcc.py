"""The options of GCC that may leave the machine, by family, as `gcc --help=FAMILY` names them.

Taken from GCC 12 (optimizers, common, c, c++, warnings, target, params), with a few of its neighbours' and of other
targets'. Left out by hand: whatever names a file that is read or written, runs or loads a program, makes a further
output, prints statistics, or lets the machine at hand decide (native, profiles). What is not here stays local.
"""

FLAGS = frozenset(
    b"""
    PIC PIE access-control aggressive-loop-optimizations align-functions align-jumps align-labels align-loops
    aligned-new allocation-dce allow-store-data-races analyzer analyzer-call-summaries analyzer-feasibility
    analyzer-fine-grained analyzer-show-duplicate-count analyzer-state-merge analyzer-state-purge
    analyzer-transitivity analyzer-verbose-edges analyzer-verbose-state-changes argument-alias argument-noalias
    argument-noalias-anything argument-noalias-global asm associative-math asynchronous-unwind-tables auto-inc-dec
    bit-tests branch-count-reg branch-target-load-optimize branch-target-load-optimize2 btr-bb-exclusive builtin
    caller-saves canonical-system-headers cf-protection char8_t check-data-deps check-new checking code-hoisting
    combine-stack-adjustments common compare-elim concepts concepts-ts cond-mismatch conserve-stack
    constexpr-fp-except coroutines cprop-registers crossjumping cse-follow-jumps cse-skip-blocks cx-fortran-rules
    cx-limited-range data-sections dce debug-types-section declone-ctor-dtor deduce-init-list defer-pop
    delayed-branch delete-dead-exceptions delete-null-pointer-checks devirtualize devirtualize-speculatively
    diagnostics-color diagnostics-generate-patch diagnostics-parseable-fixits diagnostics-plain-output
    diagnostics-show-caret diagnostics-show-cwe diagnostics-show-labels diagnostics-show-line-numbers
    diagnostics-show-option diagnostics-show-path-depths diagnostics-show-template-tree dollars-in-identifiers dse
    dwarf2-cfi-asm early-inlining elide-constructors elide-type eliminate-dwarf2-dups eliminate-unused-debug-symbols
    eliminate-unused-debug-types emit-class-debug-always emit-struct-debug-baseonly emit-struct-debug-reduced
    enforce-eh-specs exceptions expensive-optimizations ext-numeric-literals extended-identifiers extern-tls-init
    fast-math finite-loops finite-math-only float-store fold-simple-inlines forward-propagate fp-int-builtin-inexact
    freestanding function-cse function-sections gcse gcse-after-reload gcse-las gcse-lm gcse-sm gnu-keywords gnu-tm
    gnu-unique gnu89-inline graphite graphite-identity guess-branch-probability harden-compares
    harden-conditional-branches hoist-adjacent-loads hosted ident if-conversion if-conversion2 implement-inlines
    implicit-constexpr implicit-inline-templates implicit-templates indirect-inlining inline inline-atomics
    inline-functions inline-functions-called-once inline-small-functions instrument-functions ipa-bit-cp ipa-cp
    ipa-cp-alignment ipa-cp-clone ipa-icf ipa-icf-functions ipa-icf-variables ipa-modref ipa-profile ipa-pta
    ipa-pure-const ipa-ra ipa-reference ipa-reference-addressable ipa-sra ipa-stack-alignment ipa-strict-aliasing
    ipa-vrp ira-hoist-pressure ira-loop-pressure ira-share-save-slots ira-share-spill-slots
    isolate-erroneous-paths-attribute isolate-erroneous-paths-dereference ivopts jump-tables keep-gc-roots-live
    keep-inline-functions keep-static-consts keep-static-functions large-source-files lax-vector-conversions
    leading-underscore lifetime-dse limit-function-alignment live-patching live-range-shrinkage loop-block
    loop-flatten loop-interchange loop-nest-optimize loop-parallelize-all loop-strip-mine loop-unroll-and-jam
    lra-remat math-errno merge-all-constants merge-constants merge-debug-strings modulo-sched
    modulo-sched-allow-regmoves move-loop-invariants move-loop-stores ms-extensions new-inheriting-ctors
    new-ttp-matching non-call-exceptions nothrow-opt omit-frame-pointer openacc openmp openmp-simd
    openmp-target-simd-clone operator-names optimize-register-move optimize-sibling-calls optimize-strlen
    pack-struct partial-inlining pcc-struct-return peel-loops peephole peephole2 permissive pic pie plan9-extensions
    plt predictive-commoning prefetch-loop-arrays pretty-templates printf-return-value profile-abs-path
    profile-reorder-functions random-seed reciprocal-math record-gcc-switches ree reg-struct-return rename-registers
    reorder-blocks reorder-blocks-and-partition reorder-functions rerun-cse-after-loop
    reschedule-modulo-scheduled-loops rounding-math rtti sanitize-address-use-after-scope sanitize-recover
    sanitize-undefined-trap-on-error sched-critical-path-heuristic sched-dep-count-heuristic sched-group-heuristic
    sched-interblock sched-last-insn-heuristic sched-pressure sched-rank-heuristic sched-spec
    sched-spec-insn-heuristic sched-spec-load sched-spec-load-dangerous sched-stalled-insns sched-stalled-insns-dep
    schedule-fusion schedule-insns schedule-insns2 section-anchors sel-sched-pipelining
    sel-sched-pipelining-outer-loops sel-sched-reschedule-pipelined selective-scheduling selective-scheduling2
    semantic-interposition short-enums short-wchar show-column shrink-wrap shrink-wrap-separate signaling-nans
    signed-bitfields signed-char signed-zeros single-precision-constant sized-deallocation split-ivs-in-unroller
    split-loops split-paths split-stack split-wide-types split-wide-types-early ssa-backprop ssa-phiopt stack-check
    stack-clash-protection stack-limit stack-protector stack-protector-all stack-protector-explicit
    stack-protector-strong stdarg-opt store-merging strict-aliasing strict-enums strict-flex-arrays strict-overflow
    strict-volatile-bitfields strong-eval-order sync-libcalls thread-jumps threadsafe-statics toplevel-reorder
    tracer track-macro-expansion trampolines trapping-math trapv tree-bit-ccp tree-builtin-call-dce tree-ccp tree-ch
    tree-coalesce-inlined-vars tree-coalesce-vars tree-copy-prop tree-copyrename tree-cselim tree-dce
    tree-dominator-opts tree-dse tree-forwprop tree-fre tree-loop-distribute-patterns tree-loop-distribution
    tree-loop-if-convert tree-loop-if-convert-stores tree-loop-im tree-loop-ivcanon tree-loop-linear
    tree-loop-optimize tree-loop-vectorize tree-partial-pre tree-phiprop tree-pre tree-pta tree-reassoc
    tree-scev-cprop tree-sink tree-slp-vectorize tree-slsr tree-sra tree-switch-conversion tree-tail-merge tree-ter
    tree-vect-loop-version tree-vectorize tree-vrp unconstrained-commons unit-at-a-time unroll-all-loops
    unroll-completely-grow-size unroll-loops unsafe-loop-optimizations unsafe-math-optimizations unsigned-bitfields
    unsigned-char unswitch-loops unwind-tables use-cxa-atexit use-cxa-get-exception-ptr var-tracking
    var-tracking-assignments var-tracking-assignments-toggle var-tracking-uninit variable-expansion-in-unroller
    vect-cost-model verbose-asm visibility-inlines-hidden visibility-ms-compat vpt weak web whole-program
    working-directory wrapv wrapv-pointer zero-initialized-in-bss
    """.split()
)
"""`-fNAME` and `-fno-NAME`."""

FLAG_NUMBERS = frozenset(
    b"""
    abi-compat-version abi-version aligned-new analyzer-verbosity asan-shadow-offset checking
    concepts-diagnostics-depth constexpr-cache-depth constexpr-depth constexpr-loop-limit constexpr-ops-limit
    diagnostics-column-origin diagnostics-minimum-margin-width inline-limit lifetime-dse max-errors
    max-include-depth message-length pack-struct sched-stalled-insns sched-stalled-insns-dep strict-flex-arrays
    tabstop template-backtrace-limit template-depth track-macro-expansion tree-parallelize-loops
    """.split()
)
"""`-fNAME=NUMBER`."""

FLAG_WORDS = frozenset(
    b"""
    align-functions align-jumps align-labels align-loops analyzer-checker emit-struct-debug-detailed exec-charset
    openacc-dim patchable-function-entry sanitize sanitize-coverage sanitize-recover sanitize-sections sanitize-trap
    stack-limit-register stack-limit-symbol strong-eval-order wide-exec-charset zero-call-used-regs
    """.split()
)
"""`-fNAME=WORD`: names and lists of names; never a path."""

FLAG_TEXTS = frozenset(
    b"""
    debug-prefix-map file-prefix-map instrument-functions-exclude-file-list
    instrument-functions-exclude-function-list macro-prefix-map profile-prefix-map random-seed
    """.split()
)
"""`-fNAME=TEXT`: anything at all; the compiler compares or quotes it and opens nothing."""

FLAG_CHOICES = {
    b"cf-protection": b"full|branch|return|none|check",
    b"diagnostics-color": b"never|always|auto",
    b"diagnostics-column-unit": b"display|byte",
    b"diagnostics-escape-format": b"unicode|bytes",
    b"diagnostics-format": b"text|json|json-stderr|sarif-stderr",
    b"diagnostics-path-format": b"none|separate-events|inline-events",
    b"diagnostics-show-location": b"once|every-line",
    b"diagnostics-urls": b"never|always|auto",
    b"excess-precision": b"fast|standard|16",
    b"fp-contract": b"off|on|fast",
    b"input-charset": b"utf-8|UTF-8|utf8|UTF8|ascii|US-ASCII|iso-8859-1|ISO-8859-1|latin1|LATIN1",
    b"ira-algorithm": b"CB|priority",
    b"ira-region": b"one|all|mixed",
    b"live-patching": b"inline-only-static|inline-clone",
    b"permitted-flt-eval-methods": b"c11|ts-18661-3",
    b"profile-update": b"single|atomic|prefer-atomic",
    b"reorder-blocks-algorithm": b"simple|stc",
    b"simd-cost-model": b"unlimited|dynamic|cheap|very-cheap",
    b"sso-struct": b"big-endian|little-endian|native",
    b"stack-check": b"no|generic|specific",
    b"stack-reuse": b"all|named_vars|none",
    b"tls-model": b"global-dynamic|local-dynamic|initial-exec|local-exec",
    b"trivial-auto-var-init": b"uninitialized|pattern|zero",
    b"use-ld": b"bfd|gold|lld|mold",
    b"vect-cost-model": b"unlimited|dynamic|cheap|very-cheap",
    b"visibility": b"default|internal|hidden|protected",
}
"""`-fNAME=CHOICE`, choices separated by `|`."""

WARNINGS = frozenset(
    b"""
    abi abi-tag absolute-value address address-of-packed-member aggregate-return
    aggressive-loop-optimizations aligned-new all alloc-size-larger-than alloc-zero alloca alloca-larger-than
    analyzer-double-fclose analyzer-double-free analyzer-exposure-through-output-file analyzer-file-leak
    analyzer-free-of-non-heap analyzer-malloc-leak analyzer-mismatching-deallocation analyzer-null-argument
    analyzer-null-dereference analyzer-possible-null-argument analyzer-possible-null-dereference
    analyzer-shift-count-negative analyzer-shift-count-overflow analyzer-stale-setjmp-buffer
    analyzer-tainted-allocation-size analyzer-tainted-array-index analyzer-tainted-divisor analyzer-tainted-offset
    analyzer-tainted-size analyzer-too-complex analyzer-unsafe-call-within-signal-handler analyzer-use-after-free
    analyzer-use-of-pointer-in-stale-stack-frame analyzer-use-of-uninitialized-value analyzer-write-to-const
    analyzer-write-to-string-literal arith-conversion array-bounds array-compare array-parameter attribute-alias
    attribute-warning attributes bad-function-cast bidi-chars bool-compare bool-operation
    builtin-declaration-mismatch builtin-macro-redefined c++-compat c++0x-compat c++11-compat c++11-extensions
    c++14-compat c++14-extensions c++17-compat c++17-extensions c++1z-compat c++20-compat c++20-extensions
    c++23-extensions c++2a-compat c11-c2x-compat c90-c99-compat c99-c11-compat cannot-profile cast-align
    cast-function-type cast-qual catch-value char-subscripts class-conversion class-memaccess clobbered
    comma-subscript comment comments conditionally-supported conversion conversion-null coverage-invalid-line-number
    coverage-mismatch cpp ctad-maybe-unsupported ctor-dtor-privacy dangling-else dangling-pointer date-time
    declaration-after-statement delete-incomplete delete-non-virtual-dtor deprecated deprecated-copy
    deprecated-copy-dtor deprecated-declarations deprecated-enum-enum-conversion deprecated-enum-float-conversion
    designated-init disabled-optimization discarded-array-qualifiers discarded-qualifiers div-by-zero
    double-promotion duplicate-decl-specifier duplicated-branches duplicated-cond effc++ empty-body endif-labels
    enum-compare enum-conversion error error-implicit-function-declaration exceptions expansion-to-defined extra
    extra-semi fatal-errors float-conversion float-equal format format-contains-nul format-diag format-extra-args
    format-nonliteral format-overflow format-security format-signedness format-truncation format-y2k
    format-zero-length frame-address frame-larger-than free-nonheap-object if-not-aligned ignored-attributes
    ignored-qualifiers implicit implicit-fallthrough implicit-function-declaration implicit-int inaccessible-base
    incompatible-pointer-types infinite-recursion inherited-variadic-ctor init-list-lifetime init-self inline
    int-conversion int-in-bool-context int-to-pointer-cast interference-size invalid-imported-macros
    invalid-memory-model invalid-offsetof invalid-pch jump-misses-init larger-than literal-suffix
    logical-not-parentheses logical-op long-long lto-type-mismatch main maybe-uninitialized memset-elt-size
    memset-transposed-args misleading-indentation mismatched-dealloc mismatched-new-delete mismatched-tags
    missing-attributes missing-braces missing-declarations missing-field-initializers missing-format-attribute
    missing-include-dirs missing-noreturn missing-parameter-type missing-profile missing-prototypes missing-requires
    missing-template-keyword mudflap multichar multiple-inheritance multistatement-macros namespaces narrowing
    nested-externs noexcept noexcept-type non-template-friend non-virtual-dtor nonnull nonnull-compare normalized
    null-dereference odr old-style-cast old-style-declaration old-style-definition openacc-parallelism openmp-simd
    overflow overlength-strings overloaded-virtual override-init override-init-side-effects packed
    packed-bitfield-compat packed-not-aligned padded parentheses pedantic pessimizing-move placement-new
    pmf-conversions pointer-arith pointer-compare pointer-sign pointer-to-int-cast pragmas prio-ctor-dtor psabi
    range-loop-construct redundant-decls redundant-move redundant-tags register reorder restrict return-local-addr
    return-type scalar-storage-order sequence-point shadow shadow-compatible-local shadow-local shift-count-negative
    shift-count-overflow shift-negative-value shift-overflow sign-compare sign-conversion sign-promo
    sized-deallocation sizeof-array-argument sizeof-array-div sizeof-pointer-div sizeof-pointer-memaccess
    stack-protector stack-usage strict-aliasing strict-null-sentinel strict-overflow strict-prototypes
    string-compare stringop-overflow stringop-overread stringop-truncation subobject-linkage suggest-attribute
    suggest-final-methods suggest-final-types suggest-override switch switch-bool switch-default switch-enum
    switch-outside-range switch-unreachable sync-nand synth system-headers tautological-compare templates terminate
    traditional traditional-conversion trampolines trigraphs trivial-auto-var-init tsan type-limits undef
    uninitialized unknown-pragmas unreachable-code unsafe-loop-optimizations unsuffixed-float-constants unused
    unused-but-set-parameter unused-but-set-variable unused-const-variable unused-function unused-label
    unused-local-typedefs unused-macros unused-result unused-value unused-variable use-after-free useless-cast
    varargs variadic-macros vector-operation-performance vexing-parse virtual-inheritance virtual-move-assign vla
    vla-larger-than vla-parameter volatile volatile-register-var write-strings zero-as-null-pointer-constant
    zero-length-bounds
    """.split()
)
"""`-WNAME`, and `-WNAME=WORD` where the warning has levels."""

MACHINE = frozenset(
    b"""
    128bit-long-double 16 32 3dnow 3dnowa 64 80387 8bit-idiv 96bit-long-double abm accumulate-outgoing-args adx aes
    align-double align-stringops altivec amx-bf16 amx-complex amx-fp16 amx-int8 amx-tile arm avx avx2
    avx256-split-unaligned-load avx256-split-unaligned-store avx5124fmaps avx5124vnniw avx512bf16 avx512bitalg
    avx512bw avx512cd avx512dq avx512er avx512f avx512fp16 avx512ifma avx512pf avx512vbmi avx512vbmi2 avx512vl
    avx512vnni avx512vp2intersect avx512vpopcntdq avxifma avxneconvert avxvnni avxvnniint8 big-endian bmi bmi2
    call-ms2sysv-xlogues cet-switch cld cldemote clflushopt clwb clzero cmpb cmpccxadd crc32 cx16 default
    direct-extern-access dispatch-scheduler enqcmd evex512 f16c fancy-math-387 fentry fix-cortex-a53-835769
    fix-cortex-a53-843419 fma fma4 force-drap force-indirect-call fp-ret-in-387 fsgsbase fused-madd fxsr gather
    general-regs-only gfni glibc hard-float hle hreset iamcu ieee-fp indirect-branch-cs-prefix
    indirect-branch-register inline-all-stringops inline-stringops-dynamically intel-syntax isel kl little-endian
    long-double-128 long-double-64 long-double-80 low-precision-recip-sqrt lwp lzcnt manual-endbr mmx movbe
    movdir64b movdiri ms-bitfields mwait mwaitx needed nop-mcount omit-leaf-frame-pointer outline-atomics pc32 pc64
    pc80 pclmul pcommit pconfig pku popcnt prefer-avx128 prefetchi prefetchwt1 prfchw ptwrite push-args raoint rdpid
    rdrnd rdseed recip record-mcount record-return red-zone relax relax-cmpxchg-loop rtd rtm sahf serialize sgx sha
    sha512 shstk skip-rax-setup sm3 sm4 soft-float sse sse2 sse2avx sse3 sse4 sse4.1 sse4.2 sse4a sseregparm ssse3
    stack-arg-probe stackrealign strict-align stv tbm thumb thumb-interwork tls-direct-seg-refs tsxldtrk uintr
    unaligned-access vaes vect8-ret-in-mem vpclmulqdq vsx vzeroupper waitpkg wbnoinvd widekl x32 xop xsave xsavec
    xsaveopt xsaves
    """.split()
)
"""`-mNAME` and `-mno-NAME`."""

MACHINE_NUMBERS = frozenset(
    b"""
    align-functions align-jumps align-loops branch-cost incoming-stack-boundary large-data-threshold move-max
    preferred-stack-boundary regparm store-max
    """.split()
)
"""`-mNAME=NUMBER`."""

MACHINE_WORDS = frozenset(
    b"""
    abi address-mode align-data arch asm branch-protection cmodel cpu fentry-name fentry-section float-abi fpmath
    fpu function-return harden-sls indirect-branch instrument-return memcpy-strategy memset-strategy
    prefer-vector-width recip stack-protector-guard stack-protector-guard-offset stack-protector-guard-reg
    stack-protector-guard-symbol stringop-strategy tls-dialect tp tune veclibabi
    """.split()
)
"""`-mNAME=WORD`; the word `native` is refused for each."""

PARAMETERS = frozenset(
    b"""
    align-loop-iterations align-threshold analyzer-bb-explosion-factor analyzer-max-constraints
    analyzer-max-enodes-for-full-dump analyzer-max-enodes-per-program-point analyzer-max-infeasible-edges
    analyzer-max-recursion-depth analyzer-max-svalue-depth analyzer-min-snodes-for-call-summary asan-globals
    asan-instrument-allocas asan-instrument-reads asan-instrument-writes asan-instrumentation-with-call-threshold
    asan-memintrin asan-stack asan-use-after-return avg-loop-niter avoid-fma-max-bits builtin-expect-probability
    builtin-string-cmp-inline-length case-values-threshold comdat-sharing-probability constructive-interference-size
    cxx-max-namespaces-for-diagnostic-help destructive-interference-size dse-max-alias-queries-per-store
    dse-max-object-size early-inlining-insns evrp-sparse-threshold evrp-switch-limit fsm-scale-path-blocks
    fsm-scale-path-stmts gcse-after-reload-critical-fraction gcse-after-reload-partial-fraction
    gcse-cost-distance-ratio gcse-unrestricted-cost ggc-min-expand ggc-min-heapsize
    gimple-fe-computed-hot-bb-threshold graphite-allow-codegen-errors graphite-max-arrays-per-scop
    graphite-max-nb-scop-params hash-table-verification-limit hot-bb-count-fraction hot-bb-count-ws-permille
    hot-bb-frequency-fraction hwasan-instrument-allocas hwasan-instrument-mem-intrinsics hwasan-instrument-reads
    hwasan-instrument-stack hwasan-instrument-writes hwasan-random-frame-tag inline-heuristics-hint-percent
    inline-min-speedup inline-unit-growth integer-share-limit ipa-cp-eval-threshold ipa-cp-large-unit-insns
    ipa-cp-loop-hint-bonus ipa-cp-max-recursive-depth ipa-cp-min-recursive-probability ipa-cp-profile-count-base
    ipa-cp-recursion-penalty ipa-cp-recursive-freq-factor ipa-cp-single-call-penalty ipa-cp-unit-growth
    ipa-cp-value-list-size ipa-jump-function-lookups ipa-max-aa-steps ipa-max-agg-items ipa-max-loop-predicates
    ipa-max-param-expr-ops ipa-max-switch-predicate-bounds ipa-sra-max-replacements ipa-sra-ptr-growth-factor
    ira-consider-dup-in-all-alts ira-loop-reserved-regs ira-max-conflict-table-size ira-max-loops-num
    iv-always-prune-cand-set-bound iv-consider-all-candidates-bound iv-max-considered-uses
    jump-table-max-growth-ratio-for-size jump-table-max-growth-ratio-for-speed l1-cache-line-size l1-cache-size
    l2-cache-size large-function-growth large-function-insns large-stack-frame large-stack-frame-growth
    large-unit-insns lazy-modules lim-expensive logical-op-non-short-circuit loop-block-tile-size
    loop-interchange-max-num-stmts loop-interchange-stride-ratio loop-invariant-max-bbs-in-loop
    loop-max-datarefs-for-datadeps loop-versioning-max-inner-insns loop-versioning-max-outer-insns
    lra-inheritance-ebb-probability-cutoff lra-max-considered-reload-pseudos lto-max-partition
    lto-max-streaming-parallelism lto-min-partition lto-partitions max-average-unrolled-insns max-combine-insns
    max-completely-peel-loop-nest-depth max-completely-peel-times max-completely-peeled-insns max-crossjump-edges
    max-cse-insns max-cse-path-length max-cselib-memory-locations max-debug-marker-count max-delay-slot-insn-search
    max-delay-slot-live-search max-dse-active-local-stores max-early-inliner-iterations
    max-fields-for-field-sensitive max-find-base-term-values max-fsm-thread-length max-fsm-thread-path-insns
    max-gcse-insertion-ratio max-gcse-memory max-goto-duplication-insns max-grow-copy-bb-insns max-hoist-depth
    max-inline-functions-called-once-insns max-inline-functions-called-once-loop-depth max-inline-insns-auto
    max-inline-insns-recursive max-inline-insns-recursive-auto max-inline-insns-single max-inline-insns-size
    max-inline-insns-small max-inline-recursive-depth max-inline-recursive-depth-auto max-isl-operations
    max-iterations-computation-cost max-iterations-to-track max-jump-thread-duplication-stmts max-last-value-rtl
    max-loop-header-insns max-modulo-backtrack-attempts max-partial-antic-length max-peel-branches max-peel-times
    max-peeled-insns max-pending-list-length max-pipeline-region-blocks max-pipeline-region-insns max-pow-sqrt-depth
    max-predicted-iterations max-reload-search-insns max-rtl-if-conversion-insns
    max-rtl-if-conversion-predictable-cost max-rtl-if-conversion-unpredictable-cost max-sched-extend-regions-iters
    max-sched-insn-conflict-delay max-sched-ready-insns max-sched-region-blocks max-sched-region-insns
    max-slsr-cand-scan max-speculative-devirt-maydefs max-ssa-name-query-depth max-store-chains-to-track
    max-stores-to-merge max-stores-to-sink max-stores-to-track max-tail-merge-comparisons max-tail-merge-iterations
    max-tracked-strlens max-tree-if-conversion-phi-args max-unroll-times max-unrolled-insns max-unswitch-insns
    max-unswitch-level max-variable-expansions-in-unroller max-vartrack-expr-depth max-vartrack-reverse-op-size
    max-vartrack-size max-vrp-switch-assertions min-crossjump-insns min-inline-recursive-probability
    min-insn-to-prefetch-ratio min-loop-cond-split-prob min-nondebug-insn-uid min-pagesize
    min-size-for-stack-sharing min-spec-prob min-vect-loop-bound modref-max-accesses modref-max-adjustments
    modref-max-bases modref-max-depth modref-max-escape-points modref-max-refs modref-max-tests parloops-chunk-size
    parloops-min-per-thread partial-inlining-entry-probability predictable-branch-outcome prefetch-dynamic-strides
    prefetch-latency prefetch-min-insn-to-mem-ratio prefetch-minimum-stride profile-func-internal-id
    ranger-logical-depth relation-block-limit rpo-vn-max-loop-depth sccvn-max-alias-queries-per-access
    scev-max-expr-complexity scev-max-expr-size sched-autopref-queue-depth sched-mem-true-dep-cost
    sched-pressure-algorithm sched-spec-prob-cutoff sched-state-edge-prob-cutoff selsched-insns-to-rename
    selsched-max-lookahead selsched-max-sched-times simultaneous-prefetches sink-frequency-threshold sms-dfa-history
    sms-loop-average-count-threshold sms-max-ii-factor sms-min-sc sra-max-propagations
    sra-max-scalarization-size-Osize sra-max-scalarization-size-Ospeed ssa-name-def-chain-limit ssp-buffer-size
    stack-clash-protection-guard-size stack-clash-protection-probe-interval store-merging-allow-unaligned
    store-merging-max-size switch-conversion-max-branch-ratio tm-max-aggregate-size tracer-dynamic-coverage
    tracer-dynamic-coverage-feedback tracer-max-code-growth tracer-min-branch-probability
    tracer-min-branch-probability-feedback tracer-min-branch-ratio tree-reassoc-width tsan-distinguish-volatile
    tsan-instrument-func-entry-exit uninit-control-dep-attempts uninlined-function-insns uninlined-function-time
    uninlined-thunk-insns uninlined-thunk-time unlikely-bb-count-fraction unroll-jam-max-unroll
    unroll-jam-min-percent use-after-scope-direct-emission-threshold use-canonical-types vect-epilogues-nomask
    vect-induction-float vect-inner-loop-cost-factor vect-max-peeling-for-alignment
    vect-max-version-for-alias-checks vect-max-version-for-alignment-checks vect-partial-vector-usage
    x86-stlf-window-ninsns
    """.split()
)
"""`--param NAME=NUMBER`."""

PARAMETER_CHOICES = {
    b"openacc-kernels": b"decompose|parloops",
    b"openacc-privatization": b"quiet|noisy",
    b"parloops-schedule": b"static|dynamic|guided|auto|runtime",
}
"""`--param NAME=CHOICE`."""

STANDARDS = frozenset(
    b"""
    c++03 c++0x c++11 c++14 c++17 c++1y c++1z c++20 c++23 c++26 c++2a c++2b c++2c c++98 c11 c17 c18 c1x c23 c2x c89
    c90 c99 c9x gnu++03 gnu++0x gnu++11 gnu++14 gnu++17 gnu++1y gnu++1z gnu++20 gnu++23 gnu++26 gnu++2a gnu++2b
    gnu++2c gnu++98 gnu11 gnu17 gnu18 gnu1x gnu23 gnu2x gnu89 gnu90 gnu99 gnu9x iso9899:1990 iso9899:199409
    iso9899:1999 iso9899:199x iso9899:2011 iso9899:2017 iso9899:2018
    """.split()
)
"""`-std=NAME`."""

PLAIN = frozenset(
    b"""
    O O0 O1 O2 O3 Ofast Og Os Oz W ansi g g0 g1 g2 g3 gas-loc-support gas-locview-support gbtf gcolumn-info gctf
    gctf1 gctf2 gdescribe-dies gdwarf gdwarf-2 gdwarf-3 gdwarf-4 gdwarf-5 gdwarf32 gdwarf64 ggdb ggdb0 ggdb1 ggdb2
    ggdb3 ggnu-pubnames ginline-points ginternal-reset-location-views gno-as-loc-support gno-as-locview-support
    gno-column-info gno-describe-dies gno-inline-points gno-internal-reset-location-views gno-pubnames
    gno-record-gcc-switches gno-statement-frontiers gno-strict-dwarf gno-variable-location-views gpubnames
    grecord-gcc-switches gstabs gstabs+ gstatement-frontiers gstrict-dwarf gtoggle gvariable-location-views gz
    gz=none gz=zlib gz=zlib-gabi gz=zlib-gnu gz=zstd no-pie nodefaultlibs nolibc nostartfiles nostdinc nostdinc++
    nostdlib p pedantic pedantic-errors pg pie pipe pthread rdynamic s shared shared-libgcc static
    static-libgcc static-libstdc++ static-pie trigraphs undef w
    """.split()
)
"""`-NAME`: levels, debug information, and what only linking would look at."""

ASSEMBLER = frozenset(
    b"""
    --32 --64 --compress-debug-sections --compress-debug-sections=none --compress-debug-sections=zlib
    --compress-debug-sections=zlib-gabi --compress-debug-sections=zlib-gnu --divide --fatal-warnings --gen-debug
    --no-warn --nocompress-debug-sections --noexecstack --warn --x32 -W -mbranches-within-32B-boundaries
    -mrelax-relocations=no -mrelax-relocations=yes -mx86-used-note=no -mx86-used-note=yes
    """.split()
)
"""`-Wa,NAME`."""
