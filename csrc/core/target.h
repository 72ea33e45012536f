/* Instruction sets for all functions that follow in a file: what gcc's pragma does,
 * clang ignores. Headers with functions of their own come before. */
#ifndef BUS_TARGET_H
#define BUS_TARGET_H

#define BUS_PRAGMA(text) _Pragma(#text)
#ifdef __clang__
#define BUS_TARGET_BEGIN(set)                                                          \
    BUS_PRAGMA(clang attribute push(__attribute__((target(set))), apply_to = function))
#define BUS_TARGET_END BUS_PRAGMA(clang attribute pop)
#else
#define BUS_TARGET_BEGIN(set) BUS_PRAGMA(GCC target(set))
#define BUS_TARGET_END
#endif

#endif
