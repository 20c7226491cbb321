// The C interface over the runtime: turns Status into gptqc_error and keeps exceptions inside.
#include "gptqc/gptqc.h"

#include <cstring>
#include <memory>
#include <new>
#include <string>

#include "runtime/core/Version.h"
#include "runtime/cpu/Executor.h"

struct gptqc_error {
  int code = GPTQC_INTERNAL;
  std::string message;
};

struct gptqc_layer {
  gptqc::PackedWeights packed;
  std::string descriptor;
  std::unique_ptr<gptqc::Executor> executor; ///< borrows `packed`
};

namespace {

using namespace gptqc;

/// Returned when there is no memory for an error; gptqc_error_free leaves it alone.
gptqc_error &outOfMemory() {
  static gptqc_error error{GPTQC_INTERNAL, "no memory"};
  return error;
}

gptqc_error *toError(const Status &status) {
  return status.ok() ? nullptr : new gptqc_error{int(status.code()), status.message()};
}

/// Runs `body`, which returns a Status; the one place where exceptions end.
template <typename Body> gptqc_error *guarded(const Body &body) {
  try {
    return toError(body());
  } catch (const std::bad_alloc &) {
    return &outOfMemory();
  } catch (const std::exception &) {
    return &outOfMemory(); // std::length_error and the like: sizes that no memory holds
  }
}

template <typename T> std::span<const T> spanOf(const T *data, int64_t count) {
  return data ? std::span<const T>(data, size_t(count)) : std::span<const T>();
}

Result<DType> dtypeOf(int32_t value, std::string_view field) {
  if (value != GPTQC_F16 && value != GPTQC_BF16)
    return invalidArgument("gptqc_layer_codes: {} is {}; use GPTQC_F16 or GPTQC_BF16", field,
                           value);
  return value == GPTQC_F16 ? DType::F16 : DType::BF16;
}

/// Array lengths are products of fields: bounded before they are multiplied.
Status checkSizes(const gptqc_layer_codes &codes) {
  if (codes.struct_size != sizeof(gptqc_layer_codes))
    return invalidArgument("gptqc_layer_codes: struct_size is {}, this library has {}; compile "
                           "against its header",
                           codes.struct_size, sizeof(gptqc_layer_codes));
  constexpr int64_t kLimit = int64_t(1) << 31;
  for (int64_t size : {codes.n, codes.k, codes.groups})
    if (size < 1 || size > kLimit)
      return invalidArgument("gptqc_layer_codes: n = {}, k = {}, groups = {} must be 1 to 2^31",
                             codes.n, codes.k, codes.groups);
  if (!codes.codes || !codes.scales)
    return invalidArgument("gptqc_layer_codes: codes and scales must not be NULL");
  return Status();
}

Result<LayerCodes> layerCodesOf(const gptqc_layer_codes &codes) {
  GPTQC_TRY(checkSizes(codes));
  LayerCodes layer;
  layer.bits = codes.bits;
  layer.n = codes.n;
  layer.k = codes.k;
  layer.groupSize = codes.group_size;
  GPTQC_ASSIGN(layer.act, dtypeOf(codes.act, "act"));
  GPTQC_ASSIGN(layer.out, dtypeOf(codes.out, "out"));
  GPTQC_ASSIGN(layer.scaleType, dtypeOf(codes.scale_type, "scale_type"));
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
  if (error != &outOfMemory())
    delete error;
}

const char *gptqc_version(void) { return versionNumber().data(); }

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

gptqc_error *gptqc_layer_from_codes(const gptqc_layer_codes *codes, gptqc_layer **layer) {
  return guarded([&]() -> Status {
    if (!codes || !layer)
      return invalidArgument("gptqc_layer_from_codes: codes and layer must not be NULL");
    GPTQC_ASSIGN(const LayerCodes plain, layerCodesOf(*codes));
    GPTQC_ASSIGN(const QuantizedMatrix matrix, layerFromCodes(plain));
    auto made = std::make_unique<gptqc_layer>();
    made->packed = packWeights(matrix);
    made->descriptor = matrix.descriptor.print();
    GPTQC_ASSIGN(Executor executor, Executor::create(made->packed));
    made->executor = std::make_unique<Executor>(std::move(executor));
    *layer = made.release();
    return Status();
  });
}

void gptqc_layer_free(gptqc_layer *layer) { delete layer; }

const char *gptqc_layer_descriptor(const gptqc_layer *layer) {
  return layer ? layer->descriptor.c_str() : "";
}

gptqc_error *gptqc_layer_run_cpu(const gptqc_layer *layer, const uint16_t *x, int64_t ldx,
                                 int64_t m, int32_t threads, uint16_t *y, int64_t ldy) {
  return guarded([&]() -> Status {
    if (!layer)
      return invalidArgument("gptqc_layer_run_cpu: layer must not be NULL");
    if (m == 0)
      return Status();
    const Descriptor &descriptor = layer->packed.descriptor;
    if (!x || !y || m < 0 || threads < 0 || ldx < descriptor.k || ldy < descriptor.outputColumns())
      return invalidArgument("gptqc_layer_run_cpu: '{}': m = {}, ldx = {}, ldy = {}, threads = {}; "
                             "x and y must not be NULL, ldx >= {}, ldy >= {}",
                             layer->descriptor, m, ldx, ldy, threads, descriptor.k,
                             descriptor.outputColumns());
    return layer->executor->run(x, ldx, m, y, ldy, threads);
  });
}
