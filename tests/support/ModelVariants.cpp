// The cover has the model as one more factor, so that each model sees every bit width and format.
#include "tests/support/ModelVariants.h"

#include "tests/support/Pairwise.h"

namespace gptqc::fixtures {
namespace {

const std::vector<std::string> kModels = {"docs-llama-7m", "docs-opt-5m"};
const std::vector<int64_t> kGroupSizes = {-1, 32, 64, 128};
const std::vector<FileFormat> kFormats = {FileFormat::Gptq, FileFormat::GptqV2,
                                          FileFormat::GptqPlanar};

ModelVariant variantOf(const std::vector<int> &row) {
  ModelVariant variant;
  variant.model = kModels[size_t(row[0])];
  QuantizeOptions &options = variant.options;
  options.bits = row[1] + 2;
  options.groupSize = kGroupSizes[size_t(row[2])];
  options.sym = row[3] == 0;
  options.actOrder = row[4] == 1;
  options.format = kFormats[size_t(row[5])];
  variant.name = fmt::format("{}-w{}-g{}-{}{}-{}", variant.model, options.bits, options.groupSize,
                             options.sym ? "sym" : "asym", options.actOrder ? "-actorder" : "",
                             fileFormatName(*options.format));
  return variant;
}

} // namespace

std::string ModelVariant::arguments() const {
  return fmt::format("--method rtn --bits {} --group-size {}{}{} --format {}", options.bits,
                     options.groupSize, options.sym ? "" : " --asym",
                     options.actOrder ? " --act-order" : "", fileFormatName(*options.format));
}

std::vector<ModelVariant> modelVariants() {
  const auto legal = [](const std::vector<int> &row) {
    const QuantizeOptions options = variantOf(row).options;
    const bool ordered = !options.actOrder || options.groupSize != -1;
    return ordered && resolveConfig(options).ok();
  };
  std::vector<ModelVariant> variants;
  for (const std::vector<int> &row : pairwiseCover({2, 7, 4, 2, 2, 3}, legal, 1))
    variants.push_back(variantOf(row));
  return variants;
}

Status makeVariant(const ModelVariant &variant, const std::filesystem::path &models,
                   const std::filesystem::path &output) {
  std::error_code error;
  if (std::filesystem::exists(output / variant.name / "config.json", error))
    return Status();
  return quantizeModel(models / variant.model, output / variant.name, variant.options, nullptr)
      .status()
      .withContext(variant.name);
}

} // namespace gptqc::fixtures
