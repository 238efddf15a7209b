/* As arch/x86/include/uapi/asm/byteorder.h: WebAssembly is little-endian as well. */
#include <linux/byteorder/little_endian.h>
