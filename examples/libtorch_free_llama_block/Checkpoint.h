// What a host reads of a GPTQ folder by itself, with nothing of gptqc: its sizes, its norms, and
// for the comparison the weights of its layers in double precision.
#ifndef GPTQC_EXAMPLES_LIBTORCH_FREE_LLAMA_BLOCK_CHECKPOINT_H
#define GPTQC_EXAMPLES_LIBTORCH_FREE_LLAMA_BLOCK_CHECKPOINT_H

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "Block.h"

double fromHalf(uint16_t bits);
double fromBfloat(uint16_t bits);
/// To the nearest, ties to even.
uint16_t toHalf(double value);
uint16_t toBfloat(double value);

struct Tensor {
  std::string dtype; ///< "F16", "BF16", "F32", "I32"
  std::vector<int64_t> shape;
  std::vector<char> bytes;

  /// Elements as numbers.
  std::vector<double> numbers() const;
  /// Of I32.
  std::vector<uint32_t> words() const;
};

/// A dense layer. y = x w + bias.
struct Dense {
  int64_t inputs = 0, outputs = 0;
  std::vector<double> w; ///< [inputs, outputs]
  std::vector<double> bias;

  Matrix run(const Matrix &x) const;
};

/// All errors are std::runtime_error.
class Folder {
public:
  explicit Folder(std::string path);

  Shape shape() const;
  Norms norms(int block) const;
  /// The layer's weights: scale * (code - zero).
  Dense dequantize(const std::string &layer) const;

private:
  std::optional<Tensor> find(const std::string &name) const;
  Tensor tensor(const std::string &name) const;

  std::string path, config;
  bool zerosMinusOne = true; ///< v1
};

#endif // GPTQC_EXAMPLES_LIBTORCH_FREE_LLAMA_BLOCK_CHECKPOINT_H
