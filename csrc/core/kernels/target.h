/* Macros for the compiler. BUS_TARGET_BEGIN sets the instruction set of all functions
 * that follow in a file, for clang in another way since it ignores gcc's pragma.
 * Headers that define functions are included before it. */
#ifndef BUS_TARGET_H
#define BUS_TARGET_H

#define ALWAYS_INLINE inline __attribute__((always_inline))

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
