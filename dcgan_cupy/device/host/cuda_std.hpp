// What kernels take of C++'s library, where the compiler brings none or its headers would take long. Included for texts that name
// std:: or cuda::std:: only.
#pragma once
#if __has_include(<type_traits>) && __has_include(<limits>)
#include <limits>
#include <type_traits>
#include <utility>
#include <initializer_list>
#endif
namespace std {
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
