// gptqc-variants MODELS OUTPUT: makes all quantized variants of the bundled models and prints their
// folders.
#include <cstdio>

#include "tests/support/ModelVariants.h"

int main(int argc, char **argv) {
  if (argc != 3) {
    std::fputs("usage: gptqc-variants MODELS OUTPUT\n", stderr);
    return 2;
  }
  const std::filesystem::path output = argv[2];
  for (const gptqc::fixtures::ModelVariant &variant : gptqc::fixtures::modelVariants()) {
    if (const gptqc::Status made = gptqc::fixtures::makeVariant(variant, argv[1], output);
        !made.ok()) {
      fmt::print(stderr, "gptqc-variants: error: {}\n", made.message());
      return 1;
    }
    fmt::print("{}\n", (output / variant.name).string());
    std::fflush(stdout);
  }
  return 0;
}
