// The table of instructions: the name as PTX writes it, without what does not change the result here (program.py,
// IGNORED), and what it does in a lane. A new instruction is one line: ONE, TWO and THREE have so many sources a, b, c
// of the given register types and store a value of type D.

typedef float f32;
typedef double f64;
typedef uint32_t u32;
typedef int32_t s32;
typedef uint64_t u64;
typedef int64_t s64;
typedef uint16_t u16;
typedef int16_t s16;
typedef uint8_t u8;
typedef int8_t s8;

template <class T> struct Held { typedef T type; };                     // how a lane of a slot holds a T
template <> struct Held<u16> { typedef u32 type; };
template <> struct Held<s16> { typedef u32 type; };

#define ONE(name, D, A, value) {name, [](Warp& w, const Instruction& i) { \
    const auto* a_ = w.slot<Held<A>::type>(i.r[1]); \
    put<D>(w, i.r[0], [=](int k) { A a = (A)a_[k]; return (D)(value); }); }},
#define TWO(name, D, A, B, value) {name, [](Warp& w, const Instruction& i) { \
    const auto* a_ = w.slot<Held<A>::type>(i.r[1]); const auto* b_ = w.slot<Held<B>::type>(i.r[2]); \
    put<D>(w, i.r[0], [=](int k) { A a = (A)a_[k]; B b = (B)b_[k]; return (D)(value); }); }},
#define THREE(name, D, A, B, C, value) {name, [](Warp& w, const Instruction& i) { \
    const auto* a_ = w.slot<Held<A>::type>(i.r[1]); const auto* b_ = w.slot<Held<B>::type>(i.r[2]); \
    const auto* c_ = w.slot<Held<C>::type>(i.r[3]); \
    put<D>(w, i.r[0], [=](int k) { A a = (A)a_[k]; B b = (B)b_[k]; C c = (C)c_[k]; return (D)(value); }); }},

// Of the type in the name; registers of 16 bits lie in the low half of a slot's lane.
#define INTEGERS(M) M("u32", u32, u32) M("s32", u32, s32) M("u64", u64, u64) M("s64", u64, s64) \
    M("u16", u32, u16) M("s16", u32, s16)
#define BITS(M) M("b32", u32, u32) M("b64", u64, u64) M("b16", u32, u16) M("pred", u32, u32)
#define FLOATS(M) M("f32", f32, f32) M("f64", f64, f64)

// Numbers that need a word more

template <class T> static inline T least(T a, T b) {                   // a NaN gives way to a number; -0 is below 0
    if (a != a) return b;
    if (b != b) return a;
    return a < b || (a == b && signbit(a)) ? a : b;
}
template <class T> static inline T most(T a, T b) {
    if (a != a) return b;
    if (b != b) return a;
    return a > b || (a == b && !signbit(a)) ? a : b;
}
template <class T> static inline T quotient(T a, T b) {                // by 0: undefined in PTX, all ones on today's GPUs
    if (b == 0) return (T)~T(0);
    return (T)-1 < (T)0 && b == (T)-1 ? (T)(T(0) - a) : (T)(a / b);
}
template <class T> static inline T remainder_of(T a, T b) {
    if (b == 0) return a;
    return (T)-1 < (T)0 && b == (T)-1 ? T(0) : (T)(a % b);
}
template <class I, class F> static inline I whole(F value) {           // the nearest that I holds; NaN is 0
    if (value != value) return 0;
    const bool is_signed = (I)-1 < (I)0;
    const int bits = 8 * sizeof(I) - is_signed;
    const double limit = ldexp(1.0, bits);
    if ((double)value >= limit) return (I)(is_signed ? ~((I)1 << (bits % 64)) : (I)~(I)0);
    if ((double)value <= (is_signed ? -limit : 0.0)) return is_signed ? (I)((I)1 << (bits % 64)) : 0;
    return (I)value;
}
static inline f32 downward(f64 a, f64 b) {                             // a + b rounded to minus infinity, a and b exact
    f64 sum = a + b, from_b = sum - a, rest = (a - (sum - from_b)) + (b - from_b);
    f32 near = (f32)sum;
    return near > sum || (near == sum && rest < 0) ? nextafterf(near, -INFINITY) : near;
}
static inline f32 inward(f64 a, f64 b) { return a + b > 0 ? downward(a, b) : -downward(-a, -b); }
static inline u32 reversed_bits(u32 a) {
    u32 found = 0;
    for (int n = 0; n < 32; n++) found |= (a >> n & 1) << (31 - n);
    return found;
}
static inline u32 lookup(u32 a, u32 b, u32 c, u32 table) {             // lop3
    u32 found = 0;
    for (u32 n = 0; n < 8; n++)
        if (table >> n & 1) found |= (n & 4 ? a : ~a) & (n & 2 ? b : ~b) & (n & 1 ? c : ~c);
    return found;
}
static inline u32 chosen_bytes(u32 a, u32 b, u32 how) {                // prmt
    u64 both = (u64)b << 32 | a;
    u32 found = 0;
    for (int n = 0; n < 4; n++) {
        u32 pick = how >> (4 * n) & 15, byte = (u32)(both >> (8 * (pick & 7))) & 255;
        if (pick & 8) byte = byte & 128 ? 255 : 0;
        found |= byte << (8 * n);
    }
    return found;
}
static inline u32 field(u32 a, u32 from, u32 length, bool is_signed) { // bfe
    from &= 255, length &= 255;
    u32 last = from + length - 1 < 31 ? from + length - 1 : 31;
    bool fill = is_signed && length && (a >> last & 1);
    u32 value = from < 32 ? a >> from : 0, mask = length >= 32 ? ~0u : (1u << length) - 1;
    if (from + length > 32) mask = from >= 32 ? 0 : mask & (~0u >> from);
    return fill ? value | ~mask : value & mask;
}
static inline u32 inserted(u32 a, u32 b, u32 from, u32 length) {       // bfi
    from &= 255, length &= 255;
    if (from >= 32) return b;
    u32 mask = (length >= 32 ? ~0u : (1u << length) - 1) << from;
    return (b & ~mask) | (a << from & mask);
}
static inline u64 inserted64(u64 a, u64 b, u32 from, u32 length) {
    from &= 255, length &= 255;
    if (from >= 64) return b;
    u64 mask = (length >= 64 ? ~0ull : (1ull << length) - 1) << from;
    return (b & ~mask) | (a << from & mask);
}
static inline u32 highest_bit(u32 a) { return a ? 31 - (u32)__builtin_clz(a) : ~0u; }

// Shuffles and votes

enum Way { UP, DOWN, BUTTERFLY, INDEX };

// r: value, predicate or NO_SLOT, a, b, c, mask. A lane whose source does not take part gets POISON: PTX leaves it open.
template <Way WAY> static void shuffle(Warp& w, const Instruction& i) {
    u32 from[LANES], *a = w.slot<u32>(i.r[2]), *b = w.slot<u32>(i.r[3]), *c = w.slot<u32>(i.r[4]);
    memcpy(from, a, sizeof from);
    each_lane(w, [&](int k) {
        int lane = k, by = b[k] & 31, clamp = c[k] & 31, segment = c[k] >> 8 & 31;
        int most = (lane & segment) | (clamp & ~segment), least = lane & segment;
        int j = WAY == UP ? lane - by : WAY == DOWN ? lane + by : WAY == BUTTERFLY ? lane ^ by : least | (by & ~segment);
        bool valid = WAY == UP ? j >= most : j <= most;
        if (!valid) j = lane;
        w.slot<u32>(i.r[0])[k] = w.lanes >> j & 1 ? from[j] : POISON;
        if (i.r[1] != NO_SLOT) w.slot<u32>(i.r[1])[k] = valid;
    });
}

static inline u32 voted(const Warp& w, const Instruction& i) { return bits_of(w.slot<u32>(i.r[1])) & w.lanes; }

template <class Reduce> static void reduce(Warp& w, const Instruction& i, Reduce join) {     // redux.sync
    const u32* a = w.slot<u32>(i.r[1]);
    u32 found = 0;
    bool first = true;
    each_lane(w, [&](int k) { found = first ? a[k] : join(found, a[k]), first = false; });
    put<u32>(w, i.r[0], [=](int) { return found; });
}

// The tables' rows of one family, for each type

#define ROW_ADD(t, D, T) TWO("add." t, D, T, T, (T)(a + b)) TWO("sub." t, D, T, T, (T)(a - b))
#define ROW_INTEGER(t, D, T) ROW_ADD(t, D, T) TWO("mul.lo." t, D, T, T, (T)((u64)a * (u64)b)) \
    THREE("mad.lo." t, D, T, T, T, (T)((u64)a * (u64)b + (u64)c)) \
    TWO("div." t, D, T, T, quotient<T>(a, b)) TWO("rem." t, D, T, T, remainder_of<T>(a, b)) \
    TWO("min." t, D, T, T, a < b ? a : b) TWO("max." t, D, T, T, a > b ? a : b) \
    TWO("shr." t, D, T, u32, b < 8 * sizeof(T) ? a >> b : (T)(a < 0 ? -1 : 0)) ROW_COMPARE(t, T)
#define ROW_SIGNED(t, D, T) ONE("abs." t, D, T, (T)(a < 0 ? 0 - (u64)a : (u64)a)) ONE("neg." t, D, T, (T)(0 - (u64)a))
#define ROW_COMPARE(t, T) TWO("setp.eq." t, u32, T, T, a == b) TWO("setp.ne." t, u32, T, T, a != b) \
    TWO("setp.lt." t, u32, T, T, a < b) TWO("setp.le." t, u32, T, T, a <= b) \
    TWO("setp.gt." t, u32, T, T, a > b) TWO("setp.ge." t, u32, T, T, a >= b) \
    TWO("setp.lo." t, u32, T, T, a < b) TWO("setp.ls." t, u32, T, T, a <= b) \
    TWO("setp.hi." t, u32, T, T, a > b) TWO("setp.hs." t, u32, T, T, a >= b)
#define ROW_BITS(t, D, T) TWO("and." t, D, T, T, a & b) TWO("or." t, D, T, T, a | b) TWO("xor." t, D, T, T, a ^ b) \
    TWO("setp.eq." t, u32, T, T, a == b) TWO("setp.ne." t, u32, T, T, a != b)
#define ROW_FLOAT(t, D, T) TWO("add." t, D, T, T, a + b) TWO("sub." t, D, T, T, a - b) TWO("mul." t, D, T, T, a * b) \
    TWO("div." t, D, T, T, a / b) TWO("min." t, D, T, T, least(a, b)) TWO("max." t, D, T, T, most(a, b)) \
    ONE("neg." t, D, T, -a) ONE("rcp." t, D, T, T(1) / a) \
    TWO("setp.eq." t, u32, T, T, a == b) TWO("setp.ne." t, u32, T, T, a < b || a > b) \
    TWO("setp.lt." t, u32, T, T, a < b) TWO("setp.le." t, u32, T, T, a <= b) \
    TWO("setp.gt." t, u32, T, T, a > b) TWO("setp.ge." t, u32, T, T, a >= b) \
    TWO("setp.equ." t, u32, T, T, !(a < b || a > b)) TWO("setp.neu." t, u32, T, T, a != b) \
    TWO("setp.ltu." t, u32, T, T, !(a >= b)) TWO("setp.leu." t, u32, T, T, !(a > b)) \
    TWO("setp.gtu." t, u32, T, T, !(a <= b)) TWO("setp.geu." t, u32, T, T, !(a < b)) \
    TWO("setp.num." t, u32, T, T, a == a && b == b) TWO("setp.nan." t, u32, T, T, a != a || b != b)
#define ROW_SELECT(t, D, T) THREE("selp." t, D, T, T, u32, c ? a : b)
#define SELECT_AS(t, T) THREE("selp." t, T, T, T, u32, c ? a : b)

// cvt between whole numbers: what the source holds, cut to the target, and extended to its register
#define CUT(to, D, T, from, S, A) ONE("cvt." to "." from, D, S, (T)(A)a)
#define CUT_FROM(from, S, A) CUT("u8", u32, u8, from, S, A) CUT("s8", u32, s8, from, S, A) \
    CUT("u16", u32, u16, from, S, A) CUT("s16", u32, s16, from, S, A) CUT("u32", u32, u32, from, S, A) \
    CUT("s32", u32, s32, from, S, A) CUT("u64", u64, u64, from, S, A) CUT("s64", u64, s64, from, S, A) \
    ONE("cvt.f32." from, f32, S, (A)a) ONE("cvt.f64." from, f64, S, (A)a)
#define WHOLE_TO(to, D, T) \
    ONE("cvt.rzi." to ".f32", D, f32, whole<T>(truncf(a))) ONE("cvt.rni." to ".f32", D, f32, whole<T>(nearbyintf(a))) \
    ONE("cvt.rmi." to ".f32", D, f32, whole<T>(floorf(a))) ONE("cvt.rpi." to ".f32", D, f32, whole<T>(ceilf(a))) \
    ONE("cvt.rzi." to ".f64", D, f64, whole<T>(trunc(a))) ONE("cvt.rni." to ".f64", D, f64, whole<T>(nearbyint(a))) \
    ONE("cvt.rmi." to ".f64", D, f64, whole<T>(floor(a))) ONE("cvt.rpi." to ".f64", D, f64, whole<T>(ceil(a)))

// Memory, by what lies there. A register of 64 bits may take a smaller value.
#define ACCESS(t, D, T) {"ld." t, load<D, T>}, {"st." t, store<D, T>},
#define ATOMIC(name, T, value) {"atom." name, [](Warp& w, const Instruction& i) { \
    atomic<T>(w, i, [](T p, T a, T b) { (void)a, (void)b; return (T)(value); }); }},
#define ATOMICS(t, T) ATOMIC("add." t, T, p + a) ATOMIC("min." t, T, a < p ? a : p) ATOMIC("max." t, T, a > p ? a : p) \
    ATOMIC("exch." t, T, a) ATOMIC("cas." t, T, p == a ? b : p)
#define ATOMIC_BITS(t, T) ATOMIC("and." t, T, p & a) ATOMIC("or." t, T, p | a) ATOMIC("xor." t, T, p ^ a) \
    ATOMIC("exch." t, T, a) ATOMIC("cas." t, T, p == a ? b : p)

struct Entry { const char* name; Handler run; };
static const Entry TABLE[] = {
    // moves
    ONE("mov.32", u32, u32, a) ONE("mov.64", u64, u64, a)
    TWO("pack.64.32", u64, u32, u32, (u64)b << 32 | a) TWO("pack.32.16", u32, u32, u32, (a & 0xffff) | b << 16)
    {"unpack.64.32", [](Warp& w, const Instruction& i) {
        u64 from[LANES];
        memcpy(from, w.slot<u64>(i.r[2]), sizeof from);
        put<u32>(w, i.r[0], [&](int k) { return (u32)from[k]; });
        put<u32>(w, i.r[1], [&](int k) { return (u32)(from[k] >> 32); });
    }},
    {"unpack.32.16", [](Warp& w, const Instruction& i) {
        u32 from[LANES];
        memcpy(from, w.slot<u32>(i.r[2]), sizeof from);
        put<u32>(w, i.r[0], [&](int k) { return from[k] & 0xffff; });
        put<u32>(w, i.r[1], [&](int k) { return from[k] >> 16; });
    }},
    BITS(ROW_SELECT) INTEGERS(ROW_SELECT) FLOATS(ROW_SELECT)

    // whole numbers
    INTEGERS(ROW_INTEGER) ROW_SIGNED("s32", u32, s32) ROW_SIGNED("s64", u64, s64) ROW_SIGNED("s16", u32, s16)
    BITS(ROW_BITS)
    ONE("not.b32", u32, u32, ~a) ONE("not.b64", u64, u64, ~a) ONE("not.b16", u32, u32, (u16)~a) ONE("not.pred", u32, u32, !a)
    ONE("cnot.b32", u32, u32, !a)
    TWO("shl.b32", u32, u32, u32, b < 32 ? a << b : 0) TWO("shl.b64", u64, u64, u32, b < 64 ? a << b : 0)
    TWO("shl.b16", u32, u32, u32, b < 16 ? (u16)(a << b) : 0)
    TWO("shr.b32", u32, u32, u32, b < 32 ? a >> b : 0) TWO("shr.b64", u64, u64, u32, b < 64 ? a >> b : 0)
    TWO("shr.b16", u32, u16, u32, b < 16 ? a >> b : 0)
    THREE("shf.l.wrap.b32", u32, u32, u32, u32, ((u64)b << 32 | a) << (c & 31) >> 32)
    THREE("shf.r.wrap.b32", u32, u32, u32, u32, ((u64)b << 32 | a) >> (c & 31))
    THREE("shf.l.clamp.b32", u32, u32, u32, u32, c > 31 ? a : ((u64)b << 32 | a) << c >> 32)
    THREE("shf.r.clamp.b32", u32, u32, u32, u32, c > 31 ? b : ((u64)b << 32 | a) >> c)
    TWO("mul.hi.u32", u32, u32, u32, (u64)a * b >> 32) TWO("mul.hi.s32", u32, s32, s32, (s64)a * b >> 32)
    TWO("mul.hi.u64", u64, u64, u64, (u64)((unsigned __int128)a * b >> 64))
    TWO("mul.hi.s64", u64, s64, s64, (u64)((__int128)a * b >> 64))
    TWO("mul.hi.u16", u32, u16, u16, (u32)a * b >> 16) TWO("mul.hi.s16", u32, s16, s16, (u16)((s32)a * b >> 16))
    THREE("mad.hi.u32", u32, u32, u32, u32, (u32)((u64)a * b >> 32) + c)
    THREE("mad.hi.s32", u32, s32, s32, u32, (u32)((s64)a * b >> 32) + c)
    TWO("mul.wide.u32", u64, u32, u32, (u64)a * b) TWO("mul.wide.s32", u64, s32, s32, (s64)a * b)
    TWO("mul.wide.u16", u32, u16, u16, (u32)a * b) TWO("mul.wide.s16", u32, s16, s16, (s32)a * b)
    THREE("mad.wide.u32", u64, u32, u32, u64, (u64)a * b + c) THREE("mad.wide.s32", u64, s32, s32, u64, (u64)((s64)a * b) + c)
    THREE("mad.wide.u16", u32, u16, u16, u32, (u32)a * b + c) THREE("mad.wide.s16", u32, s16, s16, u32, (u32)((s32)a * b) + c)
    ONE("popc.b32", u32, u32, __builtin_popcount(a)) ONE("popc.b64", u32, u64, __builtin_popcountll(a))
    ONE("clz.b32", u32, u32, a ? __builtin_clz(a) : 32) ONE("clz.b64", u32, u64, a ? __builtin_clzll(a) : 64)
    ONE("brev.b32", u32, u32, reversed_bits(a))
    ONE("bfind.shiftamt.u32", u32, u32, a ? (u32)__builtin_clz(a) : ~0u)
    ONE("bfind.u32", u32, u32, highest_bit(a)) ONE("bfind.s32", u32, s32, highest_bit((u32)(a < 0 ? ~a : a)))
    THREE("bfe.u32", u32, u32, u32, u32, field(a, b, c, false)) THREE("bfe.s32", u32, u32, u32, u32, field(a, b, c, true))
    {"bfi.b32", [](Warp& w, const Instruction& i) {
        const u32 *a = w.slot<u32>(i.r[1]), *b = w.slot<u32>(i.r[2]), *c = w.slot<u32>(i.r[3]), *d = w.slot<u32>(i.r[4]);
        put<u32>(w, i.r[0], [=](int k) { return inserted(a[k], b[k], c[k], d[k]); });
    }},
    {"bfi.b64", [](Warp& w, const Instruction& i) {
        const u64 *a = w.slot<u64>(i.r[1]), *b = w.slot<u64>(i.r[2]);
        const u32 *c = w.slot<u32>(i.r[3]), *d = w.slot<u32>(i.r[4]);
        put<u64>(w, i.r[0], [=](int k) { return inserted64(a[k], b[k], c[k], d[k]); });
    }},
    {"lop3.b32", [](Warp& w, const Instruction& i) {
        const u32 *a = w.slot<u32>(i.r[1]), *b = w.slot<u32>(i.r[2]), *c = w.slot<u32>(i.r[3]), *t = w.slot<u32>(i.r[4]);
        put<u32>(w, i.r[0], [=](int k) { return lookup(a[k], b[k], c[k], t[k]); });
    }},
    THREE("prmt.b32", u32, u32, u32, u32, chosen_bytes(a, b, c))
    THREE("sad.u32", u32, u32, u32, u32, (a < b ? b - a : a - b) + c)

    // numbers
    FLOATS(ROW_FLOAT)
    ONE("abs.f32", u32, u32, a & 0x7fffffff) ONE("abs.f64", f64, f64, fabs(a))
    THREE("fma.f32", f32, f32, f32, f32, __builtin_fmaf(a, b, c)) THREE("fma.f64", f64, f64, f64, f64, __builtin_fma(a, b, c))
    THREE("mad.f32", f32, f32, f32, f32, __builtin_fmaf(a, b, c))
    THREE("fma.rm.f32", f32, f32, f32, f32, downward((f64)a * b, c)) THREE("fma.rp.f32", f32, f32, f32, f32, -downward(-(f64)a * b, -c))
    THREE("fma.rz.f32", f32, f32, f32, f32, inward((f64)a * b, c))
    TWO("add.rm.f32", f32, f32, f32, downward(a, b)) TWO("add.rp.f32", f32, f32, f32, -downward(-a, -b))
    TWO("add.rz.f32", f32, f32, f32, inward(a, b)) TWO("mul.rz.f32", f32, f32, f32, inward((f64)a * b, 0))
    ONE("sqrt.f32", f32, f32, sqrtf(a)) ONE("sqrt.f64", f64, f64, sqrt(a))
    ONE("rsqrt.f32", f32, f32, 1.0 / sqrt((double)a)) ONE("ex2.f32", f32, f32, exp2((double)a))
    ONE("lg2.f32", f32, f32, log2((double)a)) ONE("sin.f32", f32, f32, sin((double)a)) ONE("cos.f32", f32, f32, cos((double)a))
    ONE("tanh.f32", f32, f32, tanh((double)a))
    TWO("copysign.f32", f32, f32, f32, copysignf(b, a)) TWO("copysign.f64", f64, f64, f64, copysign(b, a))
    ONE("testp.finite.f32", u32, f32, a - a == 0) ONE("testp.infinite.f32", u32, f32, a == a && a - a != 0)
    ONE("testp.number.f32", u32, f32, a == a) ONE("testp.notanumber.f32", u32, f32, a != a)

    // from type to type
    CUT_FROM("u8", u32, u8) CUT_FROM("s8", u32, s8) CUT_FROM("u16", u32, u16) CUT_FROM("s16", u32, s16)
    CUT_FROM("u32", u32, u32) CUT_FROM("s32", u32, s32) CUT_FROM("u64", u64, u64) CUT_FROM("s64", u64, s64)
    WHOLE_TO("u8", u32, u8) WHOLE_TO("s8", u32, s8) WHOLE_TO("u16", u32, u16) WHOLE_TO("s16", u32, s16)
    WHOLE_TO("u32", u32, u32) WHOLE_TO("s32", u32, s32) WHOLE_TO("u64", u64, u64) WHOLE_TO("s64", u64, s64)
    ONE("cvt.f64.f32", f64, f32, a) ONE("cvt.f32.f64", f32, f64, a) ONE("cvt.f32.f32", f32, f32, a)
    ONE("cvt.sat.f32.f32", f32, f32, a > 0 ? (a < 1 ? a : 1.0f) : 0.0f)
    ONE("cvt.rni.f64.f64", f64, f64, nearbyint(a)) ONE("cvt.rzi.f64.f64", f64, f64, trunc(a))
    ONE("cvt.rmi.f64.f64", f64, f64, floor(a)) ONE("cvt.rpi.f64.f64", f64, f64, ceil(a))
    ONE("cvt.rni.f32.f32", f32, f32, nearbyintf(a)) ONE("cvt.rzi.f32.f32", f32, f32, truncf(a))
    ONE("cvt.rmi.f32.f32", f32, f32, floorf(a)) ONE("cvt.rpi.f32.f32", f32, f32, ceilf(a))
    ONE("cvt.f32.bf16", f32, u32, of_bf16(a & 0xffff)) ONE("cvt.bf16.f32", u32, f32, to_bf16(a))
    ONE("cvt.f32.f16", f32, u32, of_f16(a & 0xffff)) ONE("cvt.f16.f32", u32, f32, to_f16(a))
    TWO("cvt.bf16x2.f32", u32, f32, f32, to_bf16(a) << 16 | to_bf16(b))
    TWO("cvt.f16x2.f32", u32, f32, f32, to_f16(a) << 16 | to_f16(b))
    ONE("cvt.rna.tf32.f32", u32, u32, to_tf32(a))

    // memory
    ACCESS("u8", u32, u8) ACCESS("s8", u32, s8) ACCESS("u16", u32, u16) ACCESS("s16", u32, s16) ACCESS("32", u32, u32)
    ACCESS("64", u64, u64) ACCESS("wide.u8", u64, u8) ACCESS("wide.s8", u64, s8) ACCESS("wide.u16", u64, u16)
    ACCESS("wide.s16", u64, s16) ACCESS("wide.u32", u64, u32) ACCESS("wide.s32", u64, s32)
    ATOMICS("u32", u32) ATOMICS("s32", s32) ATOMICS("u64", u64) ATOMICS("s64", s64)
    ATOMIC_BITS("b32", u32) ATOMIC_BITS("b64", u64) ATOMIC("add.f32", f32, p + a) ATOMIC("add.f64", f64, p + a)
    ATOMIC("inc.u32", u32, p >= a ? 0 : p + 1) ATOMIC("dec.u32", u32, p == 0 || p > a ? a : p - 1)
    {"cp.async", start_copy}, {"cp.async.commit_group", commit_copies}, {"cp.async.wait_group", wait_copies},

    // lanes and threads together
    {"shfl.sync.up.b32", shuffle<UP>}, {"shfl.sync.down.b32", shuffle<DOWN>}, {"shfl.sync.bfly.b32", shuffle<BUTTERFLY>},
    {"shfl.sync.idx.b32", shuffle<INDEX>},
    {"vote.sync.ballot.b32", [](Warp& w, const Instruction& i) { u32 v = voted(w, i); put<u32>(w, i.r[0], [=](int) { return v; }); }},
    {"vote.sync.any.pred", [](Warp& w, const Instruction& i) { u32 v = voted(w, i); put<u32>(w, i.r[0], [=](int) { return v != 0; }); }},
    {"vote.sync.all.pred", [](Warp& w, const Instruction& i) {
        u32 v = voted(w, i), l = w.lanes;
        put<u32>(w, i.r[0], [=](int) { return v == l; });
    }},
    {"activemask.b32", [](Warp& w, const Instruction& i) { u32 l = w.lanes; put<u32>(w, i.r[0], [=](int) { return l; }); }},
    {"redux.sync.add.s32", [](Warp& w, const Instruction& i) { reduce(w, i, [](u32 a, u32 b) { return a + b; }); }},
    {"redux.sync.add.u32", [](Warp& w, const Instruction& i) { reduce(w, i, [](u32 a, u32 b) { return a + b; }); }},
    {"redux.sync.max.s32", [](Warp& w, const Instruction& i) { reduce(w, i, [](u32 a, u32 b) { return (s32)a > (s32)b ? a : b; }); }},
    {"redux.sync.min.s32", [](Warp& w, const Instruction& i) { reduce(w, i, [](u32 a, u32 b) { return (s32)a < (s32)b ? a : b; }); }},
    {"bar.warp.sync", [](Warp&, const Instruction&) {}}, {"bar.sync", [](Warp&, const Instruction&) {}},
    {"bar.red.popc.u32", [](Warp& w, const Instruction& i) {
        u32 v = w.block->votes;
        put<u32>(w, i.r[0], [=](int) { return v; });
    }},
    {"bar.red.or.pred", [](Warp& w, const Instruction& i) {
        u32 v = w.block->votes != 0;
        put<u32>(w, i.r[0], [=](int) { return v; });
    }},
    {"bar.red.and.pred", [](Warp& w, const Instruction& i) {
        u32 v = w.block->votes == w.block->voters;
        put<u32>(w, i.r[0], [=](int) { return v; });
    }},
    {"membar", [](Warp&, const Instruction&) {}}, {"control", [](Warp&, const Instruction&) {}},
    {"trap", [](Warp& w, const Instruction&) { fail(w, __builtin_ctz(w.lanes), 0, "stops by a trap"); }},

    // tensor cores
    {"mma.sync.m16n8k8.row.col.f32.tf32.tf32.f32", multiply<Tf32, 8>}, {"mma.sync.m16n8k4.row.col.f32.tf32.tf32.f32", multiply<Tf32, 4>},
    {"mma.sync.m16n8k16.row.col.f32.bf16.bf16.f32", multiply<Bf16, 16>}, {"mma.sync.m16n8k8.row.col.f32.bf16.bf16.f32", multiply<Bf16, 8>},
    {"mma.sync.m16n8k16.row.col.f32.f16.f16.f32", multiply<F16, 16>}, {"mma.sync.m16n8k8.row.col.f32.f16.f16.f32", multiply<F16, 8>},
    {"ldmatrix.sync.m8n8.x1.shared.b16", load_matrix<1, false>}, {"ldmatrix.sync.m8n8.x2.shared.b16", load_matrix<2, false>},
    {"ldmatrix.sync.m8n8.x4.shared.b16", load_matrix<4, false>}, {"ldmatrix.sync.m8n8.x1.trans.shared.b16", load_matrix<1, true>},
    {"ldmatrix.sync.m8n8.x2.trans.shared.b16", load_matrix<2, true>}, {"ldmatrix.sync.m8n8.x4.trans.shared.b16", load_matrix<4, true>},
};
