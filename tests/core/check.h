/* A test harness in a page: CHECK counts, check_report ends a program. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>

extern int check_passed, check_failed;

#define CHECK(condition)                                                               \
    do {                                                                               \
        if (condition) {                                                               \
            check_passed++;                                                            \
        } else {                                                                       \
            check_failed++;                                                            \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #condition);                     \
        }                                                                              \
    } while (0)

void test_arena(void);
void test_cache(void);
void test_components(void);
void test_graph(void);
void test_observe(void);
void test_plan(void);
void test_quantize(void);
void test_weights(void);
void test_kernels(void);
void test_lesion_pool(void);
void test_stem(void);
void test_winograd(void);
void test_memory(void);

#endif
