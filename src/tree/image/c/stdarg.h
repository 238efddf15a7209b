/* Stands for the compiler's own <stdarg.h>, which the trees of 5.9 to 5.12 include. */
#ifndef VLBR_STDARG_H
#define VLBR_STDARG_H
typedef __builtin_va_list va_list;
#define va_start __builtin_va_start
#define va_end __builtin_va_end
#define va_arg __builtin_va_arg
#define va_copy __builtin_va_copy
#endif
