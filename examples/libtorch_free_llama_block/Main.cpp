// Runs one Llama block of a GPTQ folder on gptqc's C interface, with neither PyTorch nor a CUDA
// toolkit: on the GPU where there is one and a pack is given, and on the CPU; compares both with
// plain double precision and prints their times.
//
//   llama_block MODEL [PACK]
#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>

#include "Checkpoint.h"
#include "Gpu.h"

namespace {

constexpr int64_t kTokens = 16;
const std::string kBlock = "model.layers.0.";

const std::map<Projection, std::vector<std::string>> kModules = {
    {Projection::Qkv, {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}},
    {Projection::O, {"self_attn.o_proj"}},
    {Projection::GateUp, {"mlp.gate_proj", "mlp.up_proj"}},
    {Projection::Down, {"mlp.down_proj"}}};

/// Outputs side by side, or silu(first) * second.
Matrix join(Projection projection, const std::vector<Matrix> &parts) {
  Matrix y;
  if (projection == Projection::GateUp) {
    for (std::size_t i = 0; i < parts[0].size(); ++i)
      y.push_back(parts[0][i] / (1 + std::exp(-parts[0][i])) * parts[1][i]);
    return y;
  }
  for (int64_t t = 0; t < kTokens; ++t)
    for (const Matrix &part : parts) {
      const auto width = std::ptrdiff_t(part.size()) / kTokens;
      y.insert(y.end(), part.begin() + t * width, part.begin() + (t + 1) * width);
    }
  return y;
}

/// Runs a projection's modules one by one with `run`.
template <typename Layer, typename Run>
Project oneByOne(const std::map<std::string, Layer> &layers, const Run &run) {
  return [&layers, run](Projection projection, const Matrix &x) {
    std::vector<Matrix> parts;
    for (const std::string &module : kModules.at(projection))
      parts.push_back(run(layers.at(module), x));
    return join(projection, parts);
  };
}

Matrix runOnCpu(const gptqc::layer &layer, const Matrix &x) {
  const std::string text = layer.descriptor();
  const int64_t n = std::stoll(text.substr(text.find(" n") + 2));
  const int64_t k = int64_t(x.size()) / kTokens;
  const bool bfloat = text.find("->bf16") != std::string::npos;
  std::vector<uint16_t> in, out(std::size_t(kTokens * n));
  for (const double value : x)
    in.push_back(bfloat ? toBfloat(value) : toHalf(value));
  layer.run(in.data(), k, kTokens, out.data(), n);
  Matrix y;
  for (const uint16_t value : out)
    y.push_back(bfloat ? fromBfloat(value) : fromHalf(value));
  return y;
}

/// |y - want| / |want - x|: relative to what the block adds to its input.
double relativeError(const Matrix &y, const Matrix &want, const Matrix &x) {
  double error = 0, size = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    error += (y[i] - want[i]) * (y[i] - want[i]);
    size += (want[i] - x[i]) * (want[i] - x[i]);
  }
  return std::sqrt(error / size);
}

class Example {
public:
  Example(const std::string &path, const char *pack) : folder(path), model(path) {
    for (const auto &[projection, modules] : kModules)
      for (const std::string &module : modules) {
        cpu.emplace(module, gptqc::layer(model, kBlock + module));
        dense.emplace(module, folder.dequantize(kBlock + module));
      }
    x.resize(std::size_t(kTokens * shape.hidden));
    for (std::size_t i = 0; i < x.size(); ++i) // any values of the size of embeddings
      x[i] = double(int64_t(i * 7919 % 2001) - 1000) / 1000;
    want = runBlock(shape, norms, x, oneByOne(dense, [](const Dense &layer, const Matrix &in) {
                      return layer.run(in);
                    }));
    good = compare("CPU", oneByOne(cpu, runOnCpu));
    if (pack)
      runOnGpu(pack);
  }
  bool good = true;

private:
  bool compare(const char *where, const Project &project) const {
    const auto start = std::chrono::steady_clock::now();
    const Matrix y = runBlock(shape, norms, x, project);
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    const bool bfloat = cpu.begin()->second.descriptor().find("->bf16") != std::string::npos;
    const double error = relativeError(y, want, x), limit = bfloat ? 3e-2 : 4e-3;
    std::printf("%s: block of %lld tokens in %.2f ms, relative error %.2g (limit %.2g)\n", where,
                static_cast<long long>(kTokens), time.count(), error, limit);
    return error < limit;
  }

  void runOnGpu(const char *pack) {
    gptqc::context_options options;
    options.no_jit = true;
    options.use_cache = false;
    options.packs = {pack};
    try {
      const gptqc::context context(options);
      GpuLinears linears(context, model, kBlock, kTokens);
      const auto project = [&](Projection projection, const Matrix &in) {
        return linears.run(projection, in);
      };
      good = compare(context.target().c_str(), project) && good;
      linears.microseconds(10); // warms up
      std::printf("its linear layers: %.1f us\n", linears.microseconds(1000));
    } catch (const gptqc::error &error) {
      if (error.code() != GPTQC_DEVICE_ERROR)
        throw;
      std::printf("no GPU: %s\n", error.what());
    }
  }

  Folder folder;
  gptqc::checkpoint model;
  Shape shape = folder.shape();
  Norms norms = folder.norms(0);
  std::map<std::string, gptqc::layer> cpu;
  std::map<std::string, Dense> dense;
  Matrix x, want;
};

} // namespace

int main(int argc, char **argv) {
  if (argc < 2 || argc > 3) {
    std::fputs("usage: llama_block MODEL [PACK]\n", stderr);
    return 2;
  }
  try {
    return Example(argv[1], argc == 3 ? argv[2] : nullptr).good ? 0 : 1;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "llama_block: error: %s\n", error.what());
    return 1;
  }
}
