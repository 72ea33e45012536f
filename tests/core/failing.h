/* Allocations that fail on demand. The linker sends the core's calls here (--wrap). */
#ifndef FAILING_H
#define FAILING_H

/* The n-th allocation from now on fails, counted from 1; 0: none does. */
void failing_set(long n);

/* Whether the allocation asked for has failed since. */
int failing_happened(void);

#endif
