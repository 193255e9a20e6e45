// cuBLAS: the products of matrices that dfdx asks for. Matrices are stored column by column.
#include "stand_in.h"

#include <algorithm>

namespace {
constexpr int EXECUTION_FAILED = 13;

// A matrix, perhaps to be read transposed.
struct Matrix {
    const float *values;
    int stride;
    bool transposed;
    float at(int row, int column) const {
        return transposed ? values[column + size_t(row) * stride] : values[row + size_t(column) * stride];
    }
};

void check_stride(const char *name, int stride, int rows) {
    if (stride < std::max(1, rows)) give_up("%s of a product is %d, and must be at least %d", name, stride, rows);
}

// C = alpha A B + beta C, `[m, k] x [k, n]`.
void product(int m, int n, int k, float alpha, Matrix a, Matrix b, float beta, float *c, int c_stride) {
    check_stride("lda", a.stride, a.transposed ? k : m);
    check_stride("ldb", b.stride, b.transposed ? n : k);
    check_stride("ldc", c_stride, m);
    if (only_counting()) return;
    for (int column = 0; column < n; column++) {
        float *out = c + size_t(column) * c_stride;
        for (int row = 0; row < m; row++) out[row] = beta == 0 ? 0 : beta * out[row];
        if (a.transposed) {
            for (int row = 0; row < m; row++) {
                float sum = 0;
                for (int i = 0; i < k; i++) sum += a.values[i + size_t(row) * a.stride] * b.at(i, column);
                out[row] += alpha * sum;
            }
        } else {
            for (int i = 0; i < k; i++) {
                float factor = alpha * b.at(i, column);
                const float *from = a.values + size_t(i) * a.stride;
                for (int row = 0; row < m; row++) out[row] += factor * from[row];
            }
        }
    }
}
} // namespace

API int cublasCreate_v2(void **handle) {
    *handle = handle;
    return 0;
}
API int cublasDestroy_v2(void *) { return 0; }
API int cublasSetStream_v2(void *, void *) { return 0; }
API int cublasSgemmStridedBatched(void *, int a_op, int b_op, int m, int n, int k, const float *alpha, const float *a,
                                  int lda, long long next_a, const float *b, int ldb, long long next_b,
                                  const float *beta, float *c, int ldc, long long next_c, int batch) {
    ONE_AT_A_TIME;
    if (fault_of_the_device(counted("kernels"))) return EXECUTION_FAILED;
    count("products");
    for (int i = 0; i < batch; i++)
        product(m, n, k, *alpha, {a + i * next_a, lda, a_op != 0}, {b + i * next_b, ldb, b_op != 0}, *beta,
                c + i * next_c, ldc);
    return 0;
}
API int cublasSgemm_v2(void *handle, int a_op, int b_op, int m, int n, int k, const float *alpha, const float *a, int lda,
                       const float *b, int ldb, const float *beta, float *c, int ldc) {
    return cublasSgemmStridedBatched(handle, a_op, b_op, m, n, k, alpha, a, lda, 0, b, ldb, 0, beta, c, ldc, 0, 1);
}
