/* arc4random for systems whose libc is older than 2.36: libstdc++ and LLVMSupport refer to it, and
   linking it here keeps every binary at or below GLIBC_2.35. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

__attribute__((visibility("hidden"))) uint32_t arc4random(void) {
  uint32_t value = 0;
  if (getrandom(&value, sizeof value, 0) != (ssize_t)sizeof value)
    abort();
  return value;
}
