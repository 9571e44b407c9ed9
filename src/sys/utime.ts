/** What utimensat(2) takes for a time that the caller does not name. */
import type { Timespec } from '../base/index.ts';

/** The present. */
export const UTIME_NOW: Timespec = { seconds: 0, nanoseconds: 0x3fffffff };
/** The time that is there. */
export const UTIME_OMIT: Timespec = { seconds: 0, nanoseconds: 0x3ffffffe };
