// Errors, versions and layers on the CPU.
#include <algorithm>
#include <array>
#include <cstring>

#include "runtime/capi/CApiSupport.h"
#include "runtime/core/Experts.h"
#include "runtime/core/Version.h"

using namespace gptqc;
using namespace gptqc::capi;

gptqc_error *capi::outOfMemory() {
  static gptqc_error error{GPTQC_INTERNAL, "no memory"};
  return &error;
}

gptqc_error *capi::toError(const Status &status) {
  return status.ok() ? nullptr : new gptqc_error{int(status.code()), status.message()};
}

namespace {

constexpr std::string_view kCodes = "gptqc_layer_codes";

Result<LayerCodes> layerCodesOf(const gptqc_layer_codes &codes) {
  GPTQC_TRY(checkStruct(codes, kCodes));
  GPTQC_TRY(checkDimensions(codes.n, codes.k, codes.groups, kCodes));
  if (!codes.codes || !codes.scales)
    return invalidArgument("{}: codes and scales must not be NULL", kCodes);
  LayerCodes layer;
  layer.bits = codes.bits;
  layer.n = codes.n;
  layer.k = codes.k;
  layer.groupSize = codes.group_size;
  GPTQC_ASSIGN(layer.act, dtypeOf(codes.act, "gptqc_layer_codes: act"));
  GPTQC_ASSIGN(layer.out, dtypeOf(codes.out, "gptqc_layer_codes: out"));
  GPTQC_ASSIGN(layer.scaleType, dtypeOf(codes.scale_type, "gptqc_layer_codes: scale_type"));
  layer.codes = spanOf(codes.codes, codes.k * codes.n);
  layer.zeros = spanOf(codes.zeros, codes.groups * codes.n);
  layer.scales = spanOf(codes.scales, codes.groups * codes.n);
  layer.groupIndex = spanOf(codes.group_index, codes.k);
  layer.bias = spanOf(codes.bias, codes.n);
  layer.siluMul = codes.silu_mul != 0;
  return layer;
}

} // namespace

int gptqc_error_code(const gptqc_error *error) { return error ? error->code : 0; }

const char *gptqc_error_message(const gptqc_error *error) {
  return error ? error->message.c_str() : "";
}

void gptqc_error_free(gptqc_error *error) {
  if (error != outOfMemory())
    delete error;
}

gptqc_error *gptqc_error_create(int code, const char *message) {
  if (code == 0)
    return nullptr;
  const bool known = code >= GPTQC_INVALID_ARGUMENT && code <= GPTQC_INTERNAL;
  return guarded(
      [&] { return Status(Code(known ? code : GPTQC_INTERNAL), message ? message : ""); });
}

const char *gptqc_version(void) { return versionNumber().data(); }
int gptqc_abi(void) { return GPTQC_ABI; }

int gptqc_has_feature(const char *name) {
  constexpr std::array<std::string_view, 9> kFeatures = {
      "cpu",   "cuda",   "packs", "cache", "compiler_callback", "fused", "tensor_parallel",
      "solve", "grouped"};
  return name && std::find(kFeatures.begin(), kFeatures.end(), name) != kFeatures.end() ? 1 : 0;
}

gptqc_error *gptqc_descriptor_check(const char *text, size_t capacity, char *canonical) {
  return guarded([&]() -> Status {
    if (!text || (capacity > 0 && !canonical))
      return invalidArgument("gptqc_descriptor_check: text and canonical must not be NULL");
    GPTQC_ASSIGN(const Descriptor descriptor, Descriptor::parse(text));
    const std::string printed = descriptor.canonical().print();
    if (capacity > 0 && printed.size() >= capacity)
      return invalidArgument("gptqc_descriptor_check: '{}' does not fit into {} bytes; "
                             "GPTQC_DESCRIPTOR_SIZE always suffices",
                             printed, capacity);
    if (capacity > 0)
      std::memcpy(canonical, printed.c_str(), printed.size() + 1);
    return Status();
  });
}

namespace {

Status packLayer(const QuantizedMatrix &matrix, gptqc_layer **layer) {
  auto made = std::make_unique<gptqc_layer>();
  made->packed = packWeights(matrix);
  made->descriptor = matrix.descriptor.print();
  GPTQC_ASSIGN(made->experts, Executor::createAll(made->packed));
  *layer = made.release();
  return Status();
}

} // namespace

gptqc_error *gptqc_layer_from_codes(const gptqc_layer_codes *codes, gptqc_layer **layer) {
  return guarded([&]() -> Status {
    if (!codes || !layer)
      return invalidArgument("gptqc_layer_from_codes: codes and layer must not be NULL");
    GPTQC_ASSIGN(const LayerCodes plain, layerCodesOf(*codes));
    GPTQC_ASSIGN(const QuantizedMatrix matrix, layerFromCodes(plain));
    return packLayer(matrix, layer);
  });
}

gptqc_error *gptqc_layer_from_experts(const gptqc_layer_codes *experts, size_t count,
                                      gptqc_layer **layer) {
  return guarded([&]() -> Status {
    if (!experts || !layer)
      return invalidArgument("gptqc_layer_from_experts: experts and layer must not be NULL");
    std::vector<QuantizedMatrix> plain;
    for (size_t e = 0; e < count; ++e) {
      GPTQC_ASSIGN(const LayerCodes codes, layerCodesOf(experts[e]));
      Result<QuantizedMatrix> one = layerFromCodes(codes);
      if (!one.ok())
        return one.status().withContext(fmt::format("expert {}", e));
      plain.push_back(std::move(*one));
    }
    GPTQC_ASSIGN(const QuantizedMatrix matrix, stackExperts(plain));
    return packLayer(matrix, layer);
  });
}

gptqc_error *gptqc_checkpoint_open(const char *folder, gptqc_checkpoint **checkpoint) {
  return guarded([&]() -> Status {
    if (!folder || !checkpoint)
      return invalidArgument("gptqc_checkpoint_open: folder and checkpoint must not be NULL");
    GPTQC_ASSIGN(Checkpoint opened, Checkpoint::open(folder));
    auto made = std::make_unique<gptqc_checkpoint>();
    for (const LayerInfo &info : opened.layers())
      made->descriptors.push_back(info.descriptor.print());
    made->checkpoint = std::move(opened);
    *checkpoint = made.release();
    return Status();
  });
}

void gptqc_checkpoint_free(gptqc_checkpoint *checkpoint) { delete checkpoint; }

size_t gptqc_checkpoint_layer_count(const gptqc_checkpoint *checkpoint) {
  return checkpoint ? checkpoint->descriptors.size() : 0;
}

const char *gptqc_checkpoint_layer_name(const gptqc_checkpoint *checkpoint, size_t index) {
  return index < gptqc_checkpoint_layer_count(checkpoint)
             ? checkpoint->checkpoint.layers()[index].name.c_str()
             : "";
}

const char *gptqc_checkpoint_layer_descriptor(const gptqc_checkpoint *checkpoint, size_t index) {
  return index < gptqc_checkpoint_layer_count(checkpoint) ? checkpoint->descriptors[index].c_str()
                                                          : "";
}

gptqc_error *gptqc_layer_from_checkpoint(const gptqc_checkpoint *checkpoint, const char *name,
                                         gptqc_layer **layer) {
  return guarded([&]() -> Status {
    if (!checkpoint || !name || !layer)
      return invalidArgument(
          "gptqc_layer_from_checkpoint: checkpoint, name and layer must not be NULL");
    const LayerInfo *info = checkpoint->checkpoint.find(name);
    if (!info)
      return makeError(Code::NotFound, "{}: there is no quantized layer '{}'",
                       checkpoint->checkpoint.folder().directory().string(), name);
    GPTQC_ASSIGN(const QuantizedMatrix matrix, checkpoint->checkpoint.loadLayer(*info));
    return packLayer(matrix, layer);
  });
}

void gptqc_layer_free(gptqc_layer *layer) { delete layer; }

const char *gptqc_layer_descriptor(const gptqc_layer *layer) {
  return layer ? layer->descriptor.c_str() : "";
}

namespace {

/// What both ways to run a layer on the CPU are given.
struct CpuRun {
  std::string_view function;
  const gptqc_layer *layer;
  const uint16_t *x;
  int64_t ldx, m;
  int32_t threads;
  uint16_t *y;
  int64_t ldy;
};

Status checkRun(const CpuRun &run, bool grouped) {
  const Descriptor &d = run.layer->packed.descriptor;
  if (d.grouped() != grouped)
    return invalidArgument("{}: '{}' has {}", run.function, run.layer->descriptor,
                           grouped ? "no experts; use gptqc_layer_run_cpu"
                                   : "experts; use gptqc_layer_run_grouped_cpu");
  if (!run.x || !run.y || run.m < 0 || run.threads < 0 || run.ldx < d.k ||
      run.ldy < d.outputColumns())
    return invalidArgument("{}: '{}': m = {}, ldx = {}, ldy = {}, threads = {}; "
                           "x and y must not be NULL, ldx >= {}, ldy >= {}",
                           run.function, run.layer->descriptor, run.m, run.ldx, run.ldy,
                           run.threads, d.k, d.outputColumns());
  return Status();
}

} // namespace

gptqc_error *gptqc_layer_run_cpu(const gptqc_layer *layer, const uint16_t *x, int64_t ldx,
                                 int64_t m, int32_t threads, uint16_t *y, int64_t ldy) {
  return guarded([&]() -> Status {
    if (!layer)
      return invalidArgument("gptqc_layer_run_cpu: layer must not be NULL");
    if (m == 0)
      return Status();
    GPTQC_TRY(checkRun({"gptqc_layer_run_cpu", layer, x, ldx, m, threads, y, ldy}, false));
    return layer->experts[0].run(x, ldx, m, y, ldy, threads);
  });
}

gptqc_error *gptqc_layer_run_grouped_cpu(const gptqc_layer *layer, const uint16_t *x, int64_t ldx,
                                         int64_t rows, const int32_t *offsets, int32_t threads,
                                         uint16_t *y, int64_t ldy) {
  return guarded([&]() -> Status {
    if (!layer || !offsets)
      return invalidArgument("gptqc_layer_run_grouped_cpu: layer and offsets must not be NULL");
    if (rows == 0)
      return Status();
    GPTQC_TRY(
        checkRun({"gptqc_layer_run_grouped_cpu", layer, x, ldx, rows, threads, y, ldy}, true));
    return runExperts(layer->experts, spanOf(offsets, int64_t(layer->experts.size()) + 1), x, ldx,
                      rows, y, ldy, threads);
  });
}
