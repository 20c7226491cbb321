// RMS norm, rotary positions and attention, as plainly as they are written down.
#include "Block.h"

#include <algorithm>
#include <cmath>

namespace {

Matrix rmsNorm(const Matrix &x, const std::vector<double> &weight, double epsilon) {
  const std::size_t width = weight.size();
  Matrix y(x.size());
  for (std::size_t row = 0; row < x.size(); row += width) {
    double squares = 0;
    for (std::size_t i = 0; i < width; ++i)
      squares += x[row + i] * x[row + i];
    const double factor = 1 / std::sqrt(squares / double(width) + epsilon);
    for (std::size_t i = 0; i < width; ++i)
      y[row + i] = x[row + i] * factor * weight[i];
  }
  return y;
}

/// Turns the pairs (i, i + headDim / 2) of one head by its position.
void rotate(const Shape &shape, double *head, int64_t position) {
  const int64_t half = shape.headDim / 2;
  for (int64_t i = 0; i < half; ++i) {
    const double angle =
        double(position) * std::pow(shape.theta, -2 * double(i) / double(shape.headDim));
    const double a = head[i], b = head[i + half];
    head[i] = a * std::cos(angle) - b * std::sin(angle);
    head[i + half] = b * std::cos(angle) + a * std::sin(angle);
  }
}

/// One head of one token: softmax(q k / sqrt(d)) v over the tokens up to it.
void attend(const double *q, const double *k, const double *v, int64_t stride, int64_t count,
            int64_t width, double *out) {
  std::vector<double> weights;
  double largest = -HUGE_VAL, sum = 0;
  for (int64_t t = 0; t < count; ++t) {
    double score = 0;
    for (int64_t i = 0; i < width; ++i)
      score += q[i] * k[t * stride + i];
    weights.push_back(score / std::sqrt(double(width)));
    largest = std::max(largest, weights.back());
  }
  for (double &weight : weights)
    sum += weight = std::exp(weight - largest);
  for (int64_t t = 0; t < count; ++t)
    for (int64_t i = 0; i < width; ++i)
      out[i] += weights[std::size_t(t)] / sum * v[t * stride + i];
}

/// qkv: rows of heads q, then kvHeads k, then kvHeads v.
Matrix attention(const Shape &shape, Matrix qkv) {
  const int64_t stride = (shape.heads + 2 * shape.kvHeads) * shape.headDim;
  const int64_t tokens = int64_t(qkv.size()) / stride;
  Matrix out(std::size_t(tokens * shape.heads * shape.headDim));
  for (int64_t t = 0; t < tokens; ++t) // q and k
    for (int64_t head = 0; head < shape.heads + shape.kvHeads; ++head)
      rotate(shape, &qkv[std::size_t(t * stride + head * shape.headDim)], t);
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t head = 0; head < shape.heads; ++head) {
      const int64_t group = head / (shape.heads / shape.kvHeads);
      const double *k = &qkv[std::size_t((shape.heads + group) * shape.headDim)];
      const double *v = k + shape.kvHeads * shape.headDim;
      attend(&qkv[std::size_t(t * stride + head * shape.headDim)], k, v, stride, t + 1,
             shape.headDim, &out[std::size_t((t * shape.heads + head) * shape.headDim)]);
    }
  return out;
}

void add(Matrix &x, const Matrix &y) {
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] += y[i];
}

} // namespace

Matrix runBlock(const Shape &shape, const Norms &norms, Matrix x, const Project &project) {
  const Matrix qkv = project(Projection::Qkv, rmsNorm(x, norms.input, shape.epsilon));
  add(x, project(Projection::O, attention(shape, qkv)));
  const Matrix mlp = project(Projection::GateUp, rmsNorm(x, norms.postAttention, shape.epsilon));
  add(x, project(Projection::Down, mlp));
  return x;
}
