/* Stands for include/generated/utsrelease.h. */
#define UTS_RELEASE "vlbr"
