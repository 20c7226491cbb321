// The C interface of the solver (gptqc/solve.h).
#include "gptqc/solve.h"

#include <algorithm>
#include <cstring>

#include "runtime/capi/CApiSupport.h"
#include "runtime/core/Float16.h"
#include "runtime/solver/Solve.h"

struct gptqc_hessian {
  int64_t k = 0;
  gptqc::HessianSum sum;
};

namespace {

using namespace gptqc;
using namespace gptqc::capi;

constexpr int64_t kLargest = 1 << 20;

Status checkType(int32_t type, std::string_view where) {
  if (type == GPTQC_F32)
    return Status();
  return dtypeOf(type, where).status();
}

/// Rows of a matrix of any type as floats, without gaps.
std::vector<float> toFloats(const void *data, int32_t type, int64_t rows, int64_t columns,
                            int64_t stride) {
  std::vector<float> values(size_t(rows * columns));
  for (int64_t row = 0; row < rows; ++row) {
    float *out = values.data() + row * columns;
    if (type == GPTQC_F32) {
      std::copy_n(static_cast<const float *>(data) + row * stride, columns, out);
      continue;
    }
    const uint16_t *in = static_cast<const uint16_t *>(data) + row * stride;
    const DType stored = type == GPTQC_F16 ? DType::F16 : DType::BF16;
    for (int64_t column = 0; column < columns; ++column)
      out[column] = toFloat(in[column], stored);
  }
  return values;
}

SolverOptions optionsOf(const gptqc_solve_options &given) {
  SolverOptions options;
  options.bits = given.bits;
  options.groupSize = given.group_size;
  options.sym = given.asym == 0;
  options.actOrder = given.act_order != 0;
  options.staticGroups = given.static_groups != 0;
  options.actGroupAware = given.act_group_aware != 0;
  options.groupRefresh = given.group_refresh != 0;
  options.mse = given.mse != 0;
  options.zeroFromOne = given.zero_from_one != 0;
  options.scales = given.f32_scales != 0 ? ScaleMode::F32 : ScaleMode::Stored;
  options.damp = given.damp;
  return options;
}

Status checkArguments(const gptqc_solve_layer &layer) {
  GPTQC_TRY(checkStruct(layer, "gptqc_solve_layer"));
  GPTQC_TRY(checkType(layer.w_type, "gptqc_solve_layer: w_type"));
  if (layer.n < 1 || layer.k < 1 || layer.n > kLargest || layer.k > kLargest || layer.ldw < layer.k)
    return invalidArgument("gptqc_solve_layer: n = {}, k = {}, ldw = {}: n and k must be 1 to {}, "
                           "ldw >= k",
                           layer.n, layer.k, layer.ldw, kLargest);
  if (!layer.w || (layer.hessian == nullptr) == (layer.h == nullptr))
    return invalidArgument("gptqc_solve_layer: w and exactly one of hessian and h must be given");
  if (layer.hessian && layer.hessian->k != layer.k)
    return invalidArgument("gptqc_solve_layer: the hessian was made for k = {}, the layer has {}",
                           layer.hessian->k, layer.k);
  return Status();
}

Result<Hessian> hessianOf(const gptqc_solve_layer &layer) {
  if (layer.hessian) {
    HessianSum copy = layer.hessian->sum; // finish() takes it, and other layers may follow
    return copy.finish();
  }
  return Hessian{layer.k, 0, std::vector<float>(layer.h, layer.h + layer.k * layer.k)};
}

void fill(const LayerSolution &solved, gptqc_solution &solution) {
  std::copy(solved.codes.begin(), solved.codes.end(), solution.codes);
  std::copy(solved.zeros.begin(), solved.zeros.end(), solution.zeros);
  std::copy(solved.scales.begin(), solved.scales.end(), solution.scales);
  std::copy(solved.groupIndex.begin(), solved.groupIndex.end(), solution.group_index);
  solution.loss = solved.loss;
  solution.error_before = solved.errorBefore;
  solution.error_after = solved.errorAfter;
  solution.damp = solved.damp;
  solution.recovery = int32_t(solved.recovery);
}

} // namespace

gptqc_error *gptqc_hessian_create(int64_t k, int32_t threads, gptqc_hessian **hessian) {
  return guarded([&]() -> Status {
    if (!hessian || k < 1 || k > kLargest || threads < 0)
      return invalidArgument("gptqc_hessian_create: k = {}, threads = {}; k must be 1 to {}, "
                             "hessian not NULL",
                             k, threads, kLargest);
    *hessian = new gptqc_hessian{k, HessianSum(k, Blas::best(threads))};
    return Status();
  });
}

gptqc_error *gptqc_hessian_add(gptqc_hessian *hessian, const void *x, int32_t type, int64_t ldx,
                               int64_t tokens) {
  return guarded([&]() -> Status {
    if (!hessian || tokens < 0 || (tokens > 0 && (!x || ldx < hessian->k)))
      return invalidArgument("gptqc_hessian_add: hessian and x must not be NULL, ldx >= k, "
                             "tokens >= 0; ldx = {}, tokens = {}",
                             ldx, tokens);
    GPTQC_TRY(checkType(type, "gptqc_hessian_add: type"));
    constexpr int64_t kSlab = 4096; // tokens that are converted at a time
    const int64_t size = type == GPTQC_F32 ? 4 : 2;
    for (int64_t first = 0; first < tokens; first += kSlab) {
      const int64_t rows = std::min(kSlab, tokens - first);
      const std::vector<float> slab =
          toFloats(static_cast<const char *>(x) + first * ldx * size, type, rows, hessian->k, ldx);
      hessian->sum.add({slab.data(), rows, hessian->k});
    }
    return Status();
  });
}

void gptqc_hessian_free(gptqc_hessian *hessian) { delete hessian; }

int64_t gptqc_solve_groups(int64_t k, int64_t group_size) {
  if (k < 1 || (group_size != -1 && group_size < 1))
    return 0;
  return group_size == -1 || group_size >= k ? 1 : (k + group_size - 1) / group_size;
}

gptqc_error *gptqc_solve(const gptqc_solve_layer *layer, const gptqc_solve_options *options,
                         gptqc_solution *solution) {
  return guarded([&]() -> Status {
    if (!layer || !options || !solution)
      return invalidArgument("gptqc_solve: layer, options and solution must not be NULL");
    GPTQC_TRY(checkArguments(*layer));
    GPTQC_TRY(checkStruct(*options, "gptqc_solve_options"));
    GPTQC_TRY(checkStruct(*solution, "gptqc_solution"));
    if (!solution->codes || !solution->zeros || !solution->scales || !solution->group_index ||
        options->threads < 0)
      return invalidArgument("gptqc_solve: the arrays of solution must not be NULL, threads >= 0");
    GPTQC_ASSIGN(const Hessian hessian, hessianOf(*layer));
    const std::vector<float> weights =
        toFloats(layer->w, layer->w_type, layer->n, layer->k, layer->ldw);
    GPTQC_ASSIGN(const LayerSolution solved,
                 solveLayer(weights, layer->n, layer->k, hessian, optionsOf(*options),
                            Blas::best(options->threads), options->threads));
    fill(solved, *solution);
    return Status();
  });
}
