/** What kernels can run, as `--driver` names it. */
export const DRIVERS = ['port', 'kernel', 'lbr.c'] as const;
export type DriverName = (typeof DRIVERS)[number];
