// Finding the pair of tensors, and the conversions on the way in and out.
#include "runtime/solver/LayerFile.h"

#include "runtime/checkpoint/FloatTensor.h"
#include "runtime/core/Float16.h"
#include "runtime/core/SafeTensorsWriter.h"

namespace gptqc {
namespace {

std::string tensorName(const std::string &layer, std::string_view tensor) {
  return layer.empty() ? std::string(tensor) : fmt::format("{}.{}", layer, tensor);
}

/// The layer whose W and H the file holds.
Result<std::string> onlyPair(const SafeTensorsFile &file) {
  std::vector<std::string> names;
  for (const TensorInfo &info : file.tensors()) {
    const bool plain = info.name == "W";
    if (!plain && !info.name.ends_with(".W"))
      continue;
    std::string layer = plain ? "" : info.name.substr(0, info.name.size() - 2);
    if (file.find(tensorName(layer, "H")))
      names.push_back(std::move(layer));
  }
  if (names.size() == 1)
    return names.front();
  if (names.empty())
    return makeError(Code::NotFound, "{}: no tensors W and H, or <layer>.W and <layer>.H",
                     file.path().string());
  return invalidArgument("{}: {} layers have W and H; choose one with --name, e.g. --name {}",
                         file.path().string(), names.size(), quoteName(names.front()));
}

Result<const TensorInfo *> matrixOf(const SafeTensorsFile &file, const std::string &name) {
  const TensorInfo *info = file.find(name);
  if (!info)
    return makeError(Code::NotFound, "{}: no tensor {}", file.path().string(), quoteName(name));
  if (info->shape.size() != 2 || info->shape[0] < 1 || info->shape[1] < 1)
    return invalidArgument("{}: {} is {}, no matrix", file.path().string(), quoteName(name),
                           info->print());
  return info;
}

std::vector<uint8_t> encode(const std::vector<float> &values, ElementType type) {
  if (type == ElementType::F32) {
    const std::span<const uint8_t> bytes = bytesOf(values);
    return {bytes.begin(), bytes.end()};
  }
  const DType stored = type == ElementType::F16 ? DType::F16 : DType::BF16;
  std::vector<uint8_t> bytes;
  bytes.reserve(values.size() * 2);
  for (float value : values) {
    const uint16_t bits = fromFloat(value, stored);
    bytes.push_back(uint8_t(bits));
    bytes.push_back(uint8_t(bits >> 8));
  }
  return bytes;
}

std::map<std::string, std::string> metadataOf(const LayerSolution &solution,
                                              const SolverOptions &options) {
  return {{"bits", fmt::format("{}", options.bits)},
          {"group_size", fmt::format("{}", options.groupSize)},
          {"sym", options.sym ? "true" : "false"},
          {"damp_percent", fmt::format("{}", solution.damp)},
          {"recovery", std::string(recoveryName(solution.recovery))},
          {"error_before", fmt::format("{:.6g}", solution.errorBefore)},
          {"error_after", fmt::format("{:.6g}", solution.errorAfter)}};
}

} // namespace

Result<LayerFile> LayerFile::read(const std::filesystem::path &path, const std::string &name) {
  GPTQC_ASSIGN(const std::shared_ptr<const SafeTensorsFile> file, SafeTensorsFile::open(path));
  LayerFile layer;
  layer.name = name;
  if (name.empty()) {
    GPTQC_ASSIGN(layer.name, onlyPair(*file));
  }
  GPTQC_ASSIGN(const TensorInfo *weight, matrixOf(*file, tensorName(layer.name, "W")));
  GPTQC_ASSIGN(const TensorInfo *hessian, matrixOf(*file, tensorName(layer.name, "H")));
  layer.n = weight->shape[0];
  layer.k = weight->shape[1];
  layer.weightType = weight->type;
  if (hessian->shape[0] != layer.k || hessian->shape[1] != layer.k)
    return invalidArgument("{}: {} is {} but {} is {}; H must be K x K", path.string(),
                           quoteName(hessian->name), hessian->print(), quoteName(weight->name),
                           weight->print());
  Result<std::vector<float>> weights = loadFloats({file.get(), weight});
  GPTQC_TRY(weights.status().withContext(path.string()));
  Result<std::vector<float>> values = loadFloats({file.get(), hessian});
  GPTQC_TRY(values.status().withContext(path.string()));
  layer.weights = std::move(*weights);
  layer.hessian = {layer.k, 0, std::move(*values)};
  return layer;
}

Status writeSolution(const std::filesystem::path &path, const LayerFile &layer,
                     const LayerSolution &solution, const SolverOptions &options) {
  const auto name = [&](std::string_view tensor) { return tensorName(layer.name, tensor); };
  const ElementType scaleType =
      options.scales == ScaleMode::F32 ? ElementType::F32 : ElementType::F16;
  const std::vector<TensorPlan> plan = {
      {name("codes"), ElementType::U8, {solution.k, solution.n}},
      {name("scales"), scaleType, {solution.groups, solution.n}},
      {name("zeros"), ElementType::U8, {solution.groups, solution.n}},
      {name("g_idx"), ElementType::I32, {solution.k}},
      {name("Q"), layer.weightType, {solution.n, solution.k}},
      {name("loss"), ElementType::F64, {1}}};
  GPTQC_ASSIGN(const std::unique_ptr<SafeTensorsWriter> writer,
               SafeTensorsWriter::create(path, plan, metadataOf(solution, options)));
  GPTQC_TRY(writer->write(name("codes"), solution.codes));
  GPTQC_TRY(writer->write(name("scales"), encode(solution.scales, scaleType)));
  GPTQC_TRY(writer->write(name("zeros"), solution.zeros));
  GPTQC_TRY(writer->write(name("g_idx"), bytesOf(solution.groupIndex)));
  GPTQC_TRY(writer->write(name("Q"), encode(solution.dequantize(), layer.weightType)));
  GPTQC_TRY(writer->write(name("loss"), bytesOf(std::vector<double>{solution.loss})));
  return writer->finish();
}

} // namespace gptqc
