// What kernels take of C++'s library, where the compiler brings none or its headers would take long. Included for texts that name
// std:: or cuda::std:: only.
#pragma once
#if __has_include(<type_traits>) && __has_include(<limits>)
#include <limits>
#include <type_traits>
#include <utility>
#include <initializer_list>
namespace std {
#else
namespace std {
template <class T> struct numeric_limits;
#define LIMITS(T, LEAST, LOWEST, MOST, TINY, ENDLESS) template <> struct numeric_limits<T> { \
        static constexpr T min() { return LEAST; } static constexpr T lowest() { return LOWEST; } static constexpr T max() { return MOST; } \
        static constexpr T epsilon() { return TINY; } static constexpr T infinity() { return ENDLESS; } \
        static constexpr T quiet_NaN() { return (T)(ENDLESS - ENDLESS); } \
    };
LIMITS(float, FLT_MIN, -FLT_MAX, FLT_MAX, FLT_EPSILON, __builtin_inff())
LIMITS(double, DBL_MIN, -DBL_MAX, DBL_MAX, DBL_EPSILON, __builtin_inf())
LIMITS(int, INT_MIN, INT_MIN, INT_MAX, 0, 0)
LIMITS(unsigned, 0, 0, UINT_MAX, 0, 0)
LIMITS(long, LONG_MIN, LONG_MIN, LONG_MAX, 0, 0)
LIMITS(unsigned long, 0, 0, ULONG_MAX, 0, 0)
LIMITS(long long, LLONG_MIN, LLONG_MIN, LLONG_MAX, 0, 0)
LIMITS(unsigned long long, 0, 0, ULLONG_MAX, 0, 0)
LIMITS(short, SHRT_MIN, SHRT_MIN, SHRT_MAX, 0, 0)
LIMITS(unsigned short, 0, 0, USHRT_MAX, 0, 0)
LIMITS(unsigned char, 0, 0, UCHAR_MAX, 0, 0)
LIMITS(signed char, SCHAR_MIN, SCHAR_MIN, SCHAR_MAX, 0, 0)
#undef LIMITS
template <class A, class B> struct is_same { static constexpr bool value = false; };
template <class A> struct is_same<A, A> { static constexpr bool value = true; };
template <class A, class B> constexpr bool is_same_v = is_same<A, B>::value;
template <bool B, class T = void> struct enable_if {};
template <class T> struct enable_if<true, T> { typedef T type; };
template <bool B, class T = void> using enable_if_t = typename enable_if<B, T>::type;
template <bool B, class T, class F> struct conditional { typedef T type; };
template <class T, class F> struct conditional<false, T, F> { typedef F type; };
template <bool B, class T, class F> using conditional_t = typename conditional<B, T, F>::type;
template <class T> inline void swap(T& a, T& b) { T t = a; a = b; b = t; }
#endif
using ::sqrt; using ::exp; using ::log; using ::sin; using ::cos; using ::tan; using ::floor; using ::ceil; using ::fabs; using ::abs;
using ::pow; using ::fmod; using ::fma; using ::atan2; using ::tanh; using ::round; using ::log2; using ::rint; using ::fmin; using ::fmax;
template <class T> inline const T& max(const T& a, const T& b) { return a < b ? b : a; }
template <class T> inline const T& min(const T& a, const T& b) { return b < a ? b : a; }
inline bool isnan(float x) { return x != x; }
inline bool isnan(double x) { return x != x; }
inline bool isinf(float x) { return __builtin_isinf(x); }
inline bool isinf(double x) { return __builtin_isinf(x); }
inline bool isfinite(float x) { return __builtin_isfinite(x); }
}
namespace cuda { namespace std { using namespace ::std; } }
