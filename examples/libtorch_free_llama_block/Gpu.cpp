// The CUDA driver is opened with dlopen, so the program starts on machines without one.
#include "Gpu.h"

#include <algorithm>
#include <chrono>
#include <type_traits>

#include <dlfcn.h>

#include "Checkpoint.h"

namespace {

/// The few driver functions that a host application has anyway; the names are the driver's.
struct Driver {
  int (*retain)(void **, int) = nullptr;
  int (*setCurrent)(void *) = nullptr;
  int (*createStream)(void **, unsigned) = nullptr;
  int (*destroyStream)(void *) = nullptr;
  int (*synchronize)(void *) = nullptr;
  int (*allocate)(uint64_t *, size_t) = nullptr;
  int (*free)(uint64_t) = nullptr;
  int (*toDevice)(uint64_t, const void *, size_t) = nullptr;
  int (*toHost)(void *, uint64_t, size_t) = nullptr;

  Driver() {
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    if (!library)
      throw std::runtime_error(dlerror());
    const auto load = [&](auto &function, const char *name) {
      void *symbol = dlsym(library, name);
      if (!symbol)
        throw std::runtime_error(std::string("the driver has no ") + name);
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(symbol);
    };
    load(retain, "cuDevicePrimaryCtxRetain");
    load(setCurrent, "cuCtxSetCurrent");
    load(createStream, "cuStreamCreate");
    load(destroyStream, "cuStreamDestroy_v2");
    load(synchronize, "cuStreamSynchronize");
    load(allocate, "cuMemAlloc_v2");
    load(free, "cuMemFree_v2");
    load(toDevice, "cuMemcpyHtoD_v2");
    load(toHost, "cuMemcpyDtoH_v2");
  }
};

void must(int result, const char *what) {
  if (result != 0)
    throw std::runtime_error(std::string(what) + ": CUDA error " + std::to_string(result));
}

constexpr Projection kAll[] = {Projection::Qkv, Projection::O, Projection::GateUp,
                               Projection::Down};

} // namespace

struct GpuLinears::State {
  Driver driver;
  std::vector<gptqc::linear> linears; ///< in the order of kAll
  std::vector<int64_t> outputs;
  int64_t tokens = 0, workspaceBytes = 0;
  uint64_t x = 0, y = 0, workspace = 0;
  void *stream = nullptr;
  bool bfloat = false;

  State() {
    void *primary = nullptr;
    must(driver.retain(&primary, 0), "cuDevicePrimaryCtxRetain");
    must(driver.setCurrent(primary), "cuCtxSetCurrent");
    must(driver.createStream(&stream, 1), "cuStreamCreate");
  }
  State(const State &) = delete;
  State &operator=(const State &) = delete;
  ~State() {
    driver.synchronize(stream);
    for (const uint64_t memory : {x, y, workspace})
      driver.free(memory);
    driver.destroyStream(stream);
  }
  void launch(std::size_t i, int64_t inputs) const {
    linears[i].run(x, inputs, tokens, y, outputs[i], workspace, workspaceBytes, stream);
  }
};

GpuLinears::GpuLinears(const gptqc::context &context, const gptqc::checkpoint &model,
                       const std::string &block, int64_t tokens)
    : state(std::make_unique<State>()) {
  State &s = *state;
  const std::string attention = block + "self_attn.", mlp = block + "mlp.";
  gptqc_linear_options gated = gptqc::linear_options();
  gated.silu_mul = 1;
  const auto make = [&](const std::vector<std::string> &names,
                        const gptqc_linear_options &options) {
    s.linears.emplace_back(context, model, names, options, s.stream);
  };
  make({attention + "q_proj", attention + "k_proj", attention + "v_proj"}, gptqc::linear_options());
  make({attention + "o_proj"}, gptqc::linear_options());
  make({mlp + "gate_proj", mlp + "up_proj"}, gated);
  make({mlp + "down_proj"}, gptqc::linear_options());

  std::vector<gptqc_linear *> all;
  for (const gptqc::linear &linear : s.linears)
    all.push_back(linear.get());
  gptqc::prepare(all, tokens, tokens);
  s.tokens = tokens;
  int64_t widest = 0;
  for (const gptqc::linear &linear : s.linears) {
    const std::string text = linear.descriptor();
    const int64_t n = std::stoll(text.substr(text.find(" n") + 2));
    s.bfloat = text.find("->bf16") != std::string::npos;
    s.outputs.push_back(text.find(" silu_mul") == std::string::npos ? n : n / 2);
    const auto inputs = int64_t(linear.input_columns().size());
    widest = std::max({widest, inputs, s.outputs.back()});
    s.workspaceBytes = std::max(s.workspaceBytes, linear.workspace(tokens, inputs % 8 == 0));
  }
  must(s.driver.allocate(&s.x, std::size_t(tokens * widest * 2)), "cuMemAlloc");
  must(s.driver.allocate(&s.y, std::size_t(tokens * widest * 2)), "cuMemAlloc");
  must(s.driver.allocate(&s.workspace, std::size_t(std::max<int64_t>(1, s.workspaceBytes))),
       "cuMemAlloc");
  context.init_workspace(s.workspace, s.workspaceBytes, s.stream);
}

GpuLinears::~GpuLinears() = default;

Matrix GpuLinears::run(Projection projection, const Matrix &x) {
  State &s = *state;
  const std::size_t i = std::size_t(projection);
  std::vector<uint16_t> rounded;
  for (const double value : x)
    rounded.push_back(s.bfloat ? toBfloat(value) : toHalf(value));
  must(s.driver.toDevice(s.x, rounded.data(), rounded.size() * 2), "cuMemcpyHtoD");
  s.launch(i, int64_t(x.size()) / s.tokens);
  must(s.driver.synchronize(s.stream), "cuStreamSynchronize");
  std::vector<uint16_t> y(std::size_t(s.tokens * s.outputs[i]));
  must(s.driver.toHost(y.data(), s.y, y.size() * 2), "cuMemcpyDtoH");
  Matrix values;
  for (const uint16_t value : y)
    values.push_back(s.bfloat ? fromBfloat(value) : fromHalf(value));
  return values;
}

double GpuLinears::microseconds(int rounds) {
  State &s = *state;
  const auto start = std::chrono::steady_clock::now();
  for (int round = 0; round < rounds; ++round)
    for (std::size_t i = 0; i < std::size(kAll); ++i)
      s.launch(i, int64_t(s.linears[i].input_columns().size()));
  must(s.driver.synchronize(s.stream), "cuStreamSynchronize");
  const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start;
  return time.count() / rounds;
}
