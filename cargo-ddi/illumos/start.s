# The start of a process on illumos amd64, for programs linked here. The ABI at entry: the stack holds argc, argv, a null
# pointer, the environment; rdx is a function to be called at exit (the run-time linker's).
    .text
    .globl  _start
    .type   _start, @function
_start:
    xorl    %ebp, %ebp
    movq    (%rsp), %rbx
    leaq    8(%rsp), %r12
    leaq    8(%r12, %rbx, 8), %r13
    movq    %r13, _environ(%rip)
    movq    %r12, ___Argv(%rip)
    andq    $-16, %rsp
    testq   %rdx, %rdx
    jz      1f
    movq    %rdx, %rdi
    call    atexit@PLT
1:  movl    %ebx, %edi
    movq    %r12, %rsi
    movq    %r13, %rdx
    call    main
    movl    %eax, %edi
    call    exit@PLT
    hlt
    .size   _start, . - _start

# libc finds the environment and the arguments through these; the program's definitions come before its own.
    .bss
    .balign 8
    .globl  _environ, ___Argv
    .weak   environ
    .type   _environ, @object
    .type   environ, @object
    .type   ___Argv, @object
_environ:
environ:
    .skip   8
    .size   _environ, 8
    .size   environ, 8
___Argv:
    .skip   8
    .size   ___Argv, 8
    .section .note.GNU-stack, "", @progbits
