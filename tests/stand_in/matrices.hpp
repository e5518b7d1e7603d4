// Tensor cores: what each lane of a warp holds of a fragment, by the tables of the PTX manual (9.7.14), and its product.
// group = lane / 4, member = lane % 4. A row's neighbours in 16 bits share a register, the lower column in the low half.

static inline float of_bf16(uint32_t half) { uint32_t bits = half << 16; float f; memcpy(&f, &bits, 4); return f; }

static inline float of_bits(uint32_t bits) { float f; memcpy(&f, &bits, 4); return f; }

static inline float of_f16(uint32_t half) {
    uint32_t exponent = half >> 10 & 31, mantissa = half & 1023;
    float value = exponent == 0    ? ldexpf((float)mantissa, -24)
                  : exponent == 31 ? (mantissa ? NAN : INFINITY)
                                   : ldexpf((float)(1024 + mantissa), (int)exponent - 25);
    return half & 0x8000 ? -value : value;
}

// Rounds to 8 (bf16) or so bits by keeping the upper 16 of 32, ties to even; NaN stays one.
static inline uint32_t to_bf16(float f) {
    uint32_t bits;
    memcpy(&bits, &f, 4);
    if (f != f) return 0x7fff;
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

static inline uint32_t to_f16(float f) {
    uint32_t bits, sign;
    memcpy(&bits, &f, 4);
    sign = bits >> 16 & 0x8000;
    float size = fabsf(f);
    if (f != f) return 0x7fff;
    if (size >= 65520.0f) return sign | 0x7c00;
    if (size < 6.103515625e-05f) return sign | (uint32_t)nearbyintf(ldexpf(size, 24));
    memcpy(&bits, &size, 4);
    return sign | ((bits + 0xfff + (bits >> 13 & 1) - (112u << 23)) >> 13);
}

// Nearest, ties away from zero: 10 bits of mantissa stay.
static inline uint32_t to_tf32(uint32_t bits) {
    if ((bits & 0x7f800000) == 0x7f800000) return bits & 0x007fffff ? 0x7fffffff : bits;
    return (bits + 0x1000) & 0xffffe000;
}

struct Tf32 {                                                          // one element a register; the low 13 bits are not read
    enum { EACH = 1, NARROW = 4 };                                     // elements a register; columns of one register of A
    static float element(uint32_t bits, int) { return of_bits(bits & 0xffffe000); }
};
struct Bf16 {
    enum { EACH = 2, NARROW = 8 };
    static float element(uint32_t bits, int n) { return of_bf16(n ? bits >> 16 : bits & 0xffff); }
};
struct F16 {
    enum { EACH = 2, NARROW = 8 };
    static float element(uint32_t bits, int n) { return of_f16(n ? bits >> 16 : bits & 0xffff); }
};

// mma.sync.m16n8kK.row.col.f32: D[16][8] = A[16][K] B[K][8] + C[16][8], sums of exact products in double, rounded once.
//   A   register n: row group + 8 (n % 2), columns member * EACH + NARROW (n / 2) and the next one of EACH
//   B   register n: column group, rows member * EACH + NARROW n and the next one of EACH
//   C,D register n: row group + 8 (n / 2), column 2 member + n % 2
template <class T, int K> static void multiply(Warp& w, const Instruction& i) {
    enum { OF_A = K / T::NARROW * 2, OF_B = K / T::NARROW };
    float a[16][K], b[K][8], c[16][8], d[16][8];
    if (w.lanes != 0xffffffffu) fail(w, 0, 0, "a matrix product needs all 32 lanes");
    for (int lane = 0; lane < LANES; lane++) {
        int group = lane / 4, member = lane % 4;
        for (int n = 0; n < OF_A; n++)
            for (int e = 0; e < T::EACH; e++)
                a[group + 8 * (n % 2)][member * T::EACH + T::NARROW * (n / 2) + e]
                    = T::element(w.slot<uint32_t>(i.r[4 + n])[lane], e);
        for (int n = 0; n < OF_B; n++)
            for (int e = 0; e < T::EACH; e++)
                b[member * T::EACH + T::NARROW * n + e][group] = T::element(w.slot<uint32_t>(i.r[4 + OF_A + n])[lane], e);
        for (int n = 0; n < 4; n++)
            c[group + 8 * (n / 2)][2 * member + n % 2] = w.slot<float>(i.r[4 + OF_A + OF_B + n])[lane];
    }
    for (int row = 0; row < 16; row++)
        for (int column = 0; column < 8; column++) {
            double sum = c[row][column];
            for (int k = 0; k < K; k++) sum += (double)a[row][k] * (double)b[k][column];
            d[row][column] = (float)sum;
        }
    for (int lane = 0; lane < LANES; lane++)
        for (int n = 0; n < 4; n++) w.slot<float>(i.r[n])[lane] = d[lane / 4 + 8 * (n / 2)][2 * (lane % 4) + n % 2];
}

// ldmatrix.m8n8.xN.b16: lane 8 n + row holds the address of that row of matrix n, 16 bytes. Lane l gets of matrix n, in
// register n, row l / 4, columns 2 (l % 4) and the next; TRANSPOSED: rows 2 (l % 4) and the next of column l / 4.
template <int N, bool TRANSPOSED> static void load_matrix(Warp& w, const Instruction& i) {
    uint16_t held[N][8][8];
    if (w.lanes != 0xffffffffu) fail(w, 0, 0, "ldmatrix needs all 32 lanes");
    for (int lane = 0; lane < 8 * N; lane++)
        memcpy(held[lane / 8][lane % 8], spot(w, i, SHARED, lane, address_of(w, i, lane), 16, false), 16);
    for (int lane = 0; lane < LANES; lane++)
        for (int n = 0; n < N; n++) {
            int along = lane / 4, from = 2 * (lane % 4);
            uint32_t low = TRANSPOSED ? held[n][from][along] : held[n][along][from];
            uint32_t high = TRANSPOSED ? held[n][from + 1][along] : held[n][along][from + 1];
            w.slot<uint32_t>(i.r[n])[lane] = low | high << 16;
        }
}
