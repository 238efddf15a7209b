/** Error numbers, include/uapi/asm-generic/errno-base.h and errno.h. */
export const EAGAIN = 11;
export const EINVAL = 22;
export const EOPNOTSUPP = 95;
