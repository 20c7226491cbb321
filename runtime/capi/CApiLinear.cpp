// Linears: checkpoint tensors in, runs out.
#include <algorithm>
#include <numeric>

#include "runtime/capi/CApiSupport.h"
#include "runtime/checkpoint/GptqWords.h"

using namespace gptqc;
using namespace gptqc::capi;

namespace {

constexpr std::string_view kTensors = "gptqc_tensors";

/// The small tensors of a part, on the host whatever side they came from.
class TensorReader {
public:
  TensorReader(const gptqc_tensors &tensors, const Device &device)
      : tensors(tensors), device(device) {}

  /// Empty for a null address.
  template <typename T> Result<std::vector<T>> read(const void *address, int64_t count) const {
    std::vector<T> values;
    if (!address)
      return values;
    values.resize(size_t(count));
    const size_t bytes = values.size() * sizeof(T);
    if (!tensors.on_device) {
      std::copy_n(static_cast<const char *>(address), bytes,
                  reinterpret_cast<char *>(values.data()));
      return values;
    }
    const ContextScope scope(device);
    GPTQC_TRY(device.check(
        device.api().cuMemcpyDtoH_v2(values.data(), reinterpret_cast<CuDevicePtr>(address), bytes),
        "copy from the GPU"));
    return values;
  }

private:
  const gptqc_tensors &tensors;
  const Device &device;
};

Status checkTensors(const gptqc_tensors &t) {
  GPTQC_TRY(checkStruct(t, kTensors));
  GPTQC_TRY(checkDimensions(t.n, t.k, t.groups, kTensors));
  if (t.bits < 2 || t.bits > 8)
    return invalidArgument("{}: bits is {}; 2 to 8 are possible", kTensors, t.bits);
  if (!t.qweight || !t.scales)
    return invalidArgument("{}: qweight and scales must not be NULL", kTensors);
  if (t.packing != GPTQC_CONTINUOUS && t.packing != GPTQC_PLANAR)
    return invalidArgument("{}: packing is {}", kTensors, t.packing);
  if (t.zeros_form != GPTQC_ZEROS_STORED && t.zeros_form != GPTQC_ZEROS_MINUS_ONE)
    return invalidArgument("{}: zeros_form is {}", kTensors, t.zeros_form);
  if (!packsWhole(t.bits, t.k) || (t.qzeros && !packsWhole(t.bits, t.n)))
    return invalidArgument(
        "{}: n = {} and k = {} must fill whole words: multiples of {} for {} bits", kTensors, t.n,
        t.k, packUnit(t.bits), t.bits);
  if (t.groups > t.k)
    return invalidArgument("{}: {} groups for {} input features", kTensors, t.groups, t.k);
  return Status();
}

Result<LinearPart> partOf(const gptqc_tensors &t, const Device &device) {
  GPTQC_TRY(checkTensors(t));
  const TensorReader reader(t, device);
  const Packing packing = t.packing == GPTQC_PLANAR ? Packing::Planar : Packing::Continuous;
  GPTQC_ASSIGN(const auto words,
               reader.read<uint8_t>(t.qzeros, t.groups * packedWords(t.bits, t.n) * 4));
  std::vector<uint8_t> zeros;
  if (!words.empty())
    zeros = unpackZeros(packing, t.bits, t.groups, t.n, words,
                        t.zeros_form == GPTQC_ZEROS_MINUS_ONE ? ZeroRule::AddPerField
                                                              : ZeroRule::Stored);
  GPTQC_ASSIGN(const auto scales, reader.read<uint16_t>(t.scales, t.groups * t.n));
  GPTQC_ASSIGN(const auto groupIndex, reader.read<int32_t>(t.g_idx, t.k));
  GPTQC_ASSIGN(const auto bias, reader.read<uint16_t>(t.bias, t.n));
  LayerCodes layer;
  layer.bits = t.bits;
  layer.n = t.n;
  layer.k = t.k;
  layer.groupSize = t.group_size;
  GPTQC_ASSIGN(layer.act, dtypeOf(t.act, "gptqc_tensors: act"));
  GPTQC_ASSIGN(layer.out, dtypeOf(t.out, "gptqc_tensors: out"));
  GPTQC_ASSIGN(layer.scaleType, dtypeOf(t.scale_type, "gptqc_tensors: scale_type"));
  layer.zeros = zeros;
  layer.scales = scales;
  layer.groupIndex = groupIndex;
  layer.bias = bias;
  LinearPart part;
  GPTQC_ASSIGN(part.facts, layerWithoutCodes(layer));
  part.packing = t.packing == GPTQC_PLANAR ? WordPacking::Planar : WordPacking::Continuous;
  part.words = t.qweight;
  part.onDevice = t.on_device != 0;
  return part;
}

struct Plan {
  LayerPlan layer;
  bool batchInvariant = false, overlaps = false;
};

Result<Plan> planOf(const gptqc_linear_options *options) {
  Plan plan;
  if (!options)
    return plan;
  GPTQC_TRY(checkStruct(*options, "gptqc_linear_options"));
  plan.layer.siluMul = options->silu_mul != 0;
  plan.layer.xIsPermuted = options->x_is_permuted != 0;
  plan.layer.rows = {options->n_rank, std::max(1, options->n_ranks)};
  plan.layer.columns = {options->k_rank, std::max(1, options->k_ranks)};
  plan.batchInvariant = options->batch_invariant != 0;
  plan.overlaps = options->overlaps != 0;
  return plan;
}

/// What all ways to create a linear are given.
struct Wanted {
  gptqc_context *context;
  size_t experts, each; ///< parts of an expert; 1 expert: a plain layer
  const gptqc_linear_options *options;
  void *stream;
  gptqc_linear **linear;

  Stream order() const {
    return Stream::borrow(context->dispatcher->device(), static_cast<CuStream>(stream));
  }
};

/// `given`: the function has its `sources`, which are parts, or names in a checkpoint.
Status checkWanted(const Wanted &wanted, bool given, std::string_view function,
                   std::string_view sources) {
  if (!wanted.context || !given || !wanted.linear || wanted.each == 0)
    return invalidArgument("{}: context, {} and linear must not be NULL, and there must be a "
                           "part",
                           function, sources);
  return Status();
}

Status checkExperts(const Wanted &wanted, std::string_view function) {
  if (wanted.experts >= 2 && wanted.experts <= size_t(kMaxExperts))
    return Status();
  return invalidArgument("{}: {} experts; a grouped layer has 2 to {}", function, wanted.experts,
                         kMaxExperts);
}

Status create(const Wanted &wanted, std::span<const LinearPart> parts) {
  GPTQC_ASSIGN(const Plan plan, planOf(wanted.options));
  auto made = std::make_unique<gptqc_linear>();
  GPTQC_ASSIGN(made->linear,
               Linear::create(wanted.context->dispatcher, parts, plan.layer, plan.batchInvariant,
                              wanted.order(), plan.overlaps, wanted.experts));
  made->descriptor = made->linear->descriptor().print();
  *wanted.linear = made.release();
  return Status();
}

Status createFromTensors(const Wanted &wanted, const gptqc_tensors *tensors) {
  const Stream order = wanted.order();
  std::vector<LinearPart> parts;
  for (size_t i = 0; i < wanted.experts * wanted.each; ++i) {
    if (tensors[i].on_device)
      GPTQC_TRY(order.synchronize()); // the tensors may still be on their way
    Result<LinearPart> part = partOf(tensors[i], wanted.context->dispatcher->device());
    if (!part.ok())
      return part.status().withContext(fmt::format("part {}", i));
    parts.push_back(std::move(*part));
  }
  return create(wanted, parts);
}

Status createFromCheckpoint(const Wanted &wanted, const Checkpoint &checkpoint,
                            const char *const *names) {
  std::vector<LinearPart> parts;
  for (size_t i = 0; i < wanted.experts * wanted.each; ++i) {
    const LayerInfo *info = names[i] ? checkpoint.find(names[i]) : nullptr;
    if (!info)
      return makeError(Code::NotFound, "{}: there is no quantized layer '{}'",
                       checkpoint.folder().directory().string(), names[i] ? names[i] : "(null)");
    GPTQC_ASSIGN(RawLayer raw, checkpoint.rawLayer(*info));
    LinearPart part;
    part.facts = std::move(raw.facts);
    part.packing = raw.packing == Packing::Planar ? WordPacking::Planar : WordPacking::Continuous;
    part.words = raw.qweight.data();
    parts.push_back(std::move(part));
  }
  return create(wanted, parts);
}

} // namespace

gptqc_error *gptqc_linear_create(gptqc_context *context, const gptqc_tensors *tensors,
                                 size_t partCount, const gptqc_linear_options *options,
                                 void *stream, gptqc_linear **linear) {
  return guarded([&]() -> Status {
    const Wanted wanted = {context, 1, partCount, options, stream, linear};
    GPTQC_TRY(checkWanted(wanted, tensors, "gptqc_linear_create", "parts"));
    return createFromTensors(wanted, tensors);
  });
}

gptqc_error *gptqc_linear_create_grouped(gptqc_context *context, const gptqc_tensors *tensors,
                                         size_t experts, size_t partsPerExpert,
                                         const gptqc_linear_options *options, void *stream,
                                         gptqc_linear **linear) {
  return guarded([&]() -> Status {
    const Wanted wanted = {context, experts, partsPerExpert, options, stream, linear};
    GPTQC_TRY(checkWanted(wanted, tensors, "gptqc_linear_create_grouped", "parts"));
    GPTQC_TRY(checkExperts(wanted, "gptqc_linear_create_grouped"));
    return createFromTensors(wanted, tensors);
  });
}

gptqc_error *gptqc_linear_from_checkpoint(gptqc_context *context,
                                          const gptqc_checkpoint *checkpoint,
                                          const char *const *names, size_t nameCount,
                                          const gptqc_linear_options *options, void *stream,
                                          gptqc_linear **linear) {
  return guarded([&]() -> Status {
    const Wanted wanted = {context, 1, nameCount, options, stream, linear};
    GPTQC_TRY(checkWanted(wanted, checkpoint && names, "gptqc_linear_from_checkpoint",
                          "checkpoint, names"));
    return createFromCheckpoint(wanted, checkpoint->checkpoint, names);
  });
}

gptqc_error *gptqc_linear_grouped_from_checkpoint(gptqc_context *context,
                                                  const gptqc_checkpoint *checkpoint,
                                                  const char *const *names, size_t experts,
                                                  size_t namesPerExpert,
                                                  const gptqc_linear_options *options, void *stream,
                                                  gptqc_linear **linear) {
  return guarded([&]() -> Status {
    const Wanted wanted = {context, experts, namesPerExpert, options, stream, linear};
    GPTQC_TRY(checkWanted(wanted, checkpoint && names, "gptqc_linear_grouped_from_checkpoint",
                          "checkpoint, names"));
    GPTQC_TRY(checkExperts(wanted, "gptqc_linear_grouped_from_checkpoint"));
    return createFromCheckpoint(wanted, checkpoint->checkpoint, names);
  });
}

void gptqc_linear_free(gptqc_linear *linear) { delete linear; }

const char *gptqc_linear_descriptor(const gptqc_linear *linear) {
  return linear ? linear->descriptor.c_str() : "";
}

int64_t gptqc_linear_bytes(const gptqc_linear *linear) {
  return linear ? linear->linear->deviceBytes() : 0;
}

int64_t gptqc_linear_input_columns(const gptqc_linear *linear, int32_t *columns, int64_t capacity) {
  if (!linear)
    return 0;
  const int64_t k = linear->linear->descriptor().k;
  if (!columns || capacity < k)
    return k;
  const std::vector<int32_t> &order = linear->linear->inputColumns();
  if (order.empty())
    std::iota(columns, columns + k, 0);
  else
    std::copy(order.begin(), order.end(), columns);
  return k;
}

gptqc_error *gptqc_prepare(gptqc_linear *const *linears, size_t count, int64_t mLo, int64_t mHi) {
  return guarded([&]() -> Status {
    if (count > 0 && !linears)
      return invalidArgument("gptqc_prepare: linears must not be NULL");
    if (mLo < 1 || mHi < mLo)
      return invalidArgument("gptqc_prepare: {}..{} is no range of tokens", mLo, mHi);
    std::vector<Descriptor> kernels;
    for (size_t i = 0; i < count; ++i) {
      if (!linears[i])
        return invalidArgument("gptqc_prepare: linears[{}] is NULL", i);
      for (const Descriptor &kernel : linears[i]->linear->kernelsFor(mLo, mHi))
        if (std::find(kernels.begin(), kernels.end(), kernel) == kernels.end())
          kernels.push_back(kernel);
    }
    if (count > 0) // all of them at once first, on all cores; then each takes up its own
      GPTQC_TRY(linears[0]->linear->owner().prepare(kernels));
    for (size_t i = 0; i < count; ++i)
      GPTQC_TRY(linears[i]->linear->prepare(mLo, mHi));
    return Status();
  });
}

gptqc_error *gptqc_linear_workspace(const gptqc_linear *linear, int64_t maxM, int32_t alignedX,
                                    int64_t *bytes) {
  return guarded([&]() -> Status {
    if (!linear || !bytes)
      return invalidArgument("gptqc_linear_workspace: linear and bytes must not be NULL");
    GPTQC_ASSIGN(*bytes, linear->linear->workspaceBytes(maxM, alignedX != 0));
    return Status();
  });
}

gptqc_error *gptqc_linear_run(gptqc_linear *linear, uint64_t x, int64_t ldx, int64_t m, uint64_t y,
                              int64_t ldy, uint64_t workspace, int64_t workspaceBytes,
                              void *stream) {
  return guarded([&]() -> Status {
    if (!linear || workspaceBytes < 0)
      return invalidArgument("gptqc_linear_run: linear is {}, workspace_bytes is {}",
                             linear ? "given" : "NULL", workspaceBytes);
    if (linear->linear->descriptor().grouped())
      return invalidArgument("gptqc_linear_run: '{}' has experts; use gptqc_linear_run_grouped",
                             linear->descriptor);
    const Stream order = Stream::borrow(linear->linear->device(), static_cast<CuStream>(stream));
    return linear->linear->run(x, ldx, m, y, ldy, {workspace, workspaceBytes}, order);
  });
}

gptqc_error *gptqc_linear_run_grouped(gptqc_linear *linear, uint64_t x, int64_t ldx, int64_t rows,
                                      uint64_t offsets, uint64_t y, int64_t ldy, uint64_t workspace,
                                      int64_t workspaceBytes, void *stream) {
  return guarded([&]() -> Status {
    if (!linear || workspaceBytes < 0)
      return invalidArgument("gptqc_linear_run_grouped: linear is {}, workspace_bytes is {}",
                             linear ? "given" : "NULL", workspaceBytes);
    if (!linear->linear->descriptor().grouped())
      return invalidArgument("gptqc_linear_run_grouped: '{}' has no experts; use gptqc_linear_run",
                             linear->descriptor);
    const Stream order = Stream::borrow(linear->linear->device(), static_cast<CuStream>(stream));
    return linear->linear->run(x, ldx, rows, y, ldy, {workspace, workspaceBytes}, order, offsets);
  });
}
