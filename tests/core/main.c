#include "check.h"

int check_passed, check_failed;

int main(void)
{
    test_arena();
    test_cache();
    test_components();
    test_graph();
    test_weights();
    test_quantize();
    test_kernels();
    test_stem();
    test_winograd();
    test_lesion_pool();
    test_plan();
    test_observe();
    test_memory();
    printf("%d passed, %d failed\n", check_passed, check_failed);
    return check_failed != 0 || check_passed == 0;
}
