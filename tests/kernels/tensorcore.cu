// Instructions of the tensor cores and others that only PTX has, one a kernel. Used by test_stand_in_instructions.py.

// Each lane's registers of A, B, C and D lie side by side: a[lane][4] (K = 8: tf32 as bits), b[lane][2], c[lane][4].
extern "C" __global__
void product_tf32(const unsigned* a, const unsigned* b, const float* c, float* d) {
    int l = threadIdx.x;
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%12,%13};"
        : "=f"(d[4 * l]), "=f"(d[4 * l + 1]), "=f"(d[4 * l + 2]), "=f"(d[4 * l + 3])
        : "r"(a[4 * l]), "r"(a[4 * l + 1]), "r"(a[4 * l + 2]), "r"(a[4 * l + 3]), "r"(b[2 * l]), "r"(b[2 * l + 1]),
          "f"(c[4 * l]), "f"(c[4 * l + 1]), "f"(c[4 * l + 2]), "f"(c[4 * l + 3]));
}

extern "C" __global__
void product_bf16(const unsigned* a, const unsigned* b, const float* c, float* d) {
    int l = threadIdx.x;
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%12,%13};"
        : "=f"(d[4 * l]), "=f"(d[4 * l + 1]), "=f"(d[4 * l + 2]), "=f"(d[4 * l + 3])
        : "r"(a[4 * l]), "r"(a[4 * l + 1]), "r"(a[4 * l + 2]), "r"(a[4 * l + 3]), "r"(b[2 * l]), "r"(b[2 * l + 1]),
          "f"(c[4 * l]), "f"(c[4 * l + 1]), "f"(c[4 * l + 2]), "f"(c[4 * l + 3]));
}

// rows: four 8 x 8 matrices of 16 bits, row after row. out[lane][4].
extern "C" __global__
void matrices_loaded(const uint4* rows, unsigned* out, unsigned* turned) {
    __shared__ uint4 held[32];
    int l = threadIdx.x;
    held[l] = rows[l];
    __syncthreads();
    unsigned at = (unsigned)__cvta_generic_to_shared(held + l);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
        : "=r"(out[4 * l]), "=r"(out[4 * l + 1]), "=r"(out[4 * l + 2]), "=r"(out[4 * l + 3]) : "r"(at));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
        : "=r"(turned[4 * l]), "=r"(turned[4 * l + 1]), "=r"(turned[4 * l + 2]), "=r"(turned[4 * l + 3]) : "r"(at));
}

extern "C" __global__
void half_a_product(const unsigned* a, float* d) {  // lanes 16 to 31 do not come
    if (threadIdx.x < 16)
        asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%0,%0,%0}, {%1,%1,%1,%1}, {%1,%1}, {%0,%0,%0,%0};"
            : "+f"(d[threadIdx.x]) : "r"(a[threadIdx.x]));
}

extern "C" __global__
void rounded(const float* x, unsigned* tf32, unsigned* bf16) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(tf32[i]) : "f"(x[i]));
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bf16[i]) : "f"(x[i]), "f"(-x[i]));
}

extern "C" __global__
void bits(const unsigned* x, const unsigned* y, const unsigned* z, unsigned* out) {
    int i = threadIdx.x, n = blockDim.x;
    unsigned a = x[i], b = y[i], c = z[i], *o = out + i;
    asm("shf.l.wrap.b32 %0, %1, %2, %3;" : "=r"(o[0]) : "r"(a), "r"(b), "r"(c));
    asm("shf.r.clamp.b32 %0, %1, %2, %3;" : "=r"(o[n]) : "r"(a), "r"(b), "r"(c));
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(o[2 * n]) : "r"(a), "r"(b), "r"(c));
    asm("lop3.b32 %0, %1, %2, %3, 0xe8;" : "=r"(o[3 * n]) : "r"(a), "r"(b), "r"(c));
    asm("bfe.u32 %0, %1, %2, %3;" : "=r"(o[4 * n]) : "r"(a), "r"(b & 31), "r"(c & 31));
    asm("bfe.s32 %0, %1, %2, %3;" : "=r"(o[5 * n]) : "r"(a), "r"(b & 31), "r"(c & 31));
    asm("bfi.b32 %0, %1, %2, %3, %4;" : "=r"(o[6 * n]) : "r"(a), "r"(b), "r"(c & 31), "r"(a & 31));
    asm("mul.hi.s32 %0, %1, %2;" : "=r"(o[7 * n]) : "r"(a), "r"(b));
    asm("shr.s32 %0, %1, %2;" : "=r"(o[8 * n]) : "r"(a), "r"(c & 63));
    asm("{.reg .pred p, q; setp.lt.and.s32 p|q, %1, %2, 1; selp.u32 %0, 1, 0, q; @p add.u32 %0, %0, 2;}"
        : "=r"(o[9 * n]) : "r"(a), "r"(b));
}

extern "C" __global__
void directed(const float* x, float* out) {         // roundings other than to the nearest
    int i = threadIdx.x, n = blockDim.x;
    float a = x[3 * i], b = x[3 * i + 1], c = x[3 * i + 2];
    out[i] = __fmaf_rd(a, b, c);
    out[n + i] = __fmaf_ru(a, b, c);
    out[2 * n + i] = __fmaf_rz(a, b, c);
    out[3 * n + i] = __fadd_rz(a, c);
    out[4 * n + i] = __fadd_rd(a, c);
}
