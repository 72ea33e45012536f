#include "failing.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

static long countdown;
static int happened;

void failing_set(long n)
{
    countdown = n;
    happened = 0;
}

int failing_happened(void) { return happened; }

static int fails(void)
{
    if (countdown == 0 || --countdown != 0)
        return 0;
    happened = 1;
    errno = ENOMEM;
    return 1;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
char *__real_strdup(const char *text);
void *__real_mmap(void *address, size_t size, int protection, int flags, int file,
                  off_t offset);
int __real_pthread_mutex_init(pthread_mutex_t *lock, const pthread_mutexattr_t *attr);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
char *__wrap_strdup(const char *text);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int file,
                  off_t offset);
int __wrap_pthread_mutex_init(pthread_mutex_t *lock, const pthread_mutexattr_t *attr);

void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    return fails() ? NULL : __real_realloc(block, size);
}

char *__wrap_strdup(const char *text) { return fails() ? NULL : __real_strdup(text); }

void *__wrap_mmap(void *address, size_t size, int protection, int flags, int file,
                  off_t offset)
{
    return fails() ? MAP_FAILED
                   : __real_mmap(address, size, protection, flags, file, offset);
}

int __wrap_pthread_mutex_init(pthread_mutex_t *lock, const pthread_mutexattr_t *attr)
{
    return fails() ? ENOMEM : __real_pthread_mutex_init(lock, attr);
}
