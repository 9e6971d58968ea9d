// Where the kernel begins (the linker's option -e, static-pie only), before the C library relocates
// this program: that writes to each page of pointers, most of them tables of OpenSSL. They are all
// made writable by one call here instead of by a page fault each. A kernel that can't does no harm.
#if defined(__x86_64__)

asm(R"(
  .text
  .globl keybearer_entry
  .type keybearer_entry, @function
keybearer_entry:
  endbr64
  lea __init_array_start(%rip), %rdi  # stands before them
  and $-4096, %rdi
  lea _end(%rip), %rsi
  sub %rdi, %rsi
  mov $23, %edx                       # MADV_POPULATE_WRITE
  mov $28, %eax                       # madvise
  syscall
  xor %edx, %edx                      # what the kernel gave: no function to call at the end
  jmp _start
  .size keybearer_entry, . - keybearer_entry
)");

#endif
