// Warp and warpgroup collectives: matrix loads and stores, mma, wgmma with their register and
// shared-memory rules. Products are exact, sums fp32 in a fixed order.
#include <algorithm>
#include <cstring>
#include <limits>
#include <span>

#include <fmt/format.h>

#include "runtime/core/Float16.h"
#include "tests/sim/Memory.h"
#include "tests/sim/State.h"

namespace gptqc::sim {

namespace {

/// Runs `body` for the lanes of the running thread's warp; `operand` differs from lane to lane.
void enterWarp(const char *name, void *operand, void (*body)(Collective &), const void *site) {
  Thread &thread = currentThread();
  Collective &warp = thread.block->warps[thread.index.x / 32];
  warp.site = site;
  enter(warp, 32, int(thread.index.x % 32), name, operand, body);
}

struct MatrixOperand {
  int matrices;
  uint8_t *row;
  uint32_t *d;
};
const MatrixOperand &matrixOperand(const Collective &warp, int lane) {
  return *static_cast<const MatrixOperand *>(warp.operands[lane]);
}

/// PTX ISA, "ldmatrix": lane l gets row l / 4, elements 2 (l % 4) and the next.
void loadAll(Collective &warp) {
  for (int i = 0; i < matrixOperand(warp, 0).matrices; ++i) {
    for (int l = 0; l < 32; ++l) {
      const uint8_t *row = matrixOperand(warp, i * 8 + l / 4).row;
      const uint8_t *pair = row + l % 4 * 4;
      Thread &thread = *warp.threads[l];
      if (reinterpret_cast<uintptr_t>(row) % 16 != 0)
        return fail(fmt::format("{}: ldmatrix of a misaligned row at {}", who(thread),
                                describeAddress(row)),
                    warp.site);
      const size_t before = machine->report.errors.size();
      request(thread, pair, 4, Access::Read, warp.site);
      if (machine->report.errors.size() == before)
        std::memcpy(&matrixOperand(warp, l).d[i], pair, 4);
    }
  }
}

/// With .trans lane l gets elements (2 (l % 4), l / 4) and (2 (l % 4) + 1, l / 4).
void loadAllTransposed(Collective &warp) {
  for (int i = 0; i < matrixOperand(warp, 0).matrices; ++i)
    for (int l = 0; l < 32; ++l)
      for (int h = 0; h < 2; ++h) {
        const uint8_t *row = matrixOperand(warp, i * 8 + l % 4 * 2 + h).row;
        Thread &thread = *warp.threads[l];
        if (reinterpret_cast<uintptr_t>(row) % 16 != 0)
          return fail(fmt::format("{}: ldmatrix of a misaligned row at {}", who(thread),
                                  describeAddress(row)),
                      warp.site);
        const size_t before = machine->report.errors.size();
        request(thread, row + l / 4 * 2, 2, Access::Read, warp.site);
        if (machine->report.errors.size() == before)
          std::memcpy(reinterpret_cast<uint8_t *>(&matrixOperand(warp, l).d[i]) + 2 * h,
                      row + l / 4 * 2, 2);
      }
}

void storeAllTransposed(Collective &warp) {
  for (int i = 0; i < matrixOperand(warp, 0).matrices; ++i)
    for (int l = 0; l < 32; ++l)
      for (int h = 0; h < 2; ++h) {
        uint8_t *column = matrixOperand(warp, i * 8 + l % 4 * 2 + h).row;
        Thread &thread = *warp.threads[l];
        if (reinterpret_cast<uintptr_t>(column) % 16 != 0)
          return fail(fmt::format("{}: stmatrix to a misaligned column at {}", who(thread),
                                  describeAddress(column)),
                      warp.site);
        const uint16_t value = uint16_t(matrixOperand(warp, l).d[i] >> (16 * h));
        const size_t before = machine->report.errors.size();
        request(thread, column + l / 4 * 2, 2, Access::Write, warp.site);
        if (machine->report.errors.size() == before)
          std::memcpy(column + l / 4 * 2, &value, 2);
      }
}

float half(uint32_t pair, int which, DType type) {
  return toFloat(uint16_t(pair >> (16 * which)), type);
}

/// The 16 x 16 A fragment of 32 lanes.
template <typename Registers>
void gatherA(float (&a)[16][16], DType type, const Registers &registers) {
  for (int l = 0; l < 32; ++l)
    for (int r = 0; r < 4; ++r)
      for (int h = 0; h < 2; ++h)
        a[l / 4 + 8 * (r & 1)][l % 4 * 2 + 8 * (r >> 1) + h] = half(registers(l)[r], h, type);
}

/// d = the m16n8 accumulator of `lane` += A B, b[column][16].
void addProducts(float *d, int lane, const float (&a)[16][16], const float *b) {
  for (int i = 0; i < 4; ++i) {
    const float *row = a[lane / 4 + 8 * (i >> 1)];
    const float *column = b + (lane % 4 * 2 + (i & 1)) * 16;
    float sum = d[i];
    for (int k = 0; k < 16; ++k)
      sum += row[k] * column[k];
    d[i] = sum;
  }
}

/// PTX ISA, "Matrix Fragments for mma.m16n8k16"; sm_75's two m16n8k8 give the same sum.
template <DType type> void mmaAll(Collective &warp) {
  const auto lane = [&](int l) { return *static_cast<const MmaOperand *>(warp.operands[l]); };
  float a[16][16], b[8 * 16];
  gatherA(a, type, [&](int l) { return lane(l).a; });
  for (int l = 0; l < 32; ++l)
    for (int r = 0; r < 2; ++r)
      for (int h = 0; h < 2; ++h)
        b[l / 4 * 16 + l % 4 * 2 + 8 * r + h] = half(lane(l).b[r], h, type);
  for (int l = 0; l < 32; ++l)
    addProducts(lane(l).d, l, a, b);
}

/// What a wgmma does to the accumulator at `operand.d`; null after an error.
Accumulator *openAccumulator(Thread &thread, const WgmmaOperand &operand, const void *site) {
  const size_t count = size_t(operand.columns) / 2;
  if (!thread.fenced)
    fail(fmt::format("{}: wgmma without a wgmma.fence since the last group", who(thread)), site);
  auto found = std::find_if(thread.accumulators.begin(), thread.accumulators.end(),
                            [&](const Accumulator &a) { return a.d == operand.d; });
  if (found == thread.accumulators.end()) {
    thread.accumulators.push_back({operand.d, {operand.d, operand.d + count}, 0});
    found = thread.accumulators.end() - 1;
    // Until the wait the registers hold nothing that may be read.
    std::fill_n(operand.d, count, std::numeric_limits<float>::quiet_NaN());
  }
  if (found->values.size() != count) {
    fail(fmt::format("{}: wgmma in flight with another shape", who(thread)), site);
    return nullptr;
  }
  found->group = thread.wgmmaGroup;
  FragmentInFlight fragment = {operand.a, {}, thread.wgmmaGroup};
  std::copy_n(operand.a, 4, fragment.values);
  thread.fragments.push_back(fragment);
  if (!operand.accumulate)
    std::fill(found->values.begin(), found->values.end(), 0.0f);
  return &*found;
}

/// B by its descriptor (PTX ISA, "Matrix Descriptor"): K-major 128-byte rows, 128-byte swizzle.
/// Checked for every view among the threads.
bool readB(const Collective &group, const WgmmaOperand &operand, Warpgroup &warpgroup, float *b) {
  const uint64_t descriptor = operand.descriptor;
  const size_t start = (descriptor & 0x3fff) << 4, stride = (descriptor >> 32 & 0x3fff) << 4;
  Thread &first = *group.threads[0];
  if (descriptor >> 62 != 1 || (descriptor >> 49 & 7) != 0) {
    fail(fmt::format("{}: wgmma descriptor {:#x} has no 128-byte swizzle", who(first), descriptor),
         group.site);
    return false;
  }
  std::vector<Thread *> views;
  for (Thread *thread : group.threads)
    if (views.empty() || !views.back()->view.known.same(thread->view.known))
      views.push_back(thread);
  for (int n = 0; n < operand.columns; ++n)
    for (int piece = 0; piece < 2; ++piece) {
      size_t at = start + size_t(n) / 8 * stride + size_t(n) % 8 * 128 + size_t(piece) * 16;
      at ^= (at >> 7 & 7) << 4;
      const uint8_t *from = sharedBase(first.block->rank) + at;
      for (Thread *thread : views)
        if (!readByEngine(*thread, from, 16, warpgroup.engine, warpgroup.time, group.site))
          return false;
      for (int k = 0; k < 8; ++k) {
        uint16_t bits = 0;
        std::memcpy(&bits, from + k * 2, 2);
        b[n * 16 + piece * 8 + k] = toFloat(bits, operand.isBf16 ? DType::BF16 : DType::F16);
      }
    }
  return true;
}

void wgmmaAll(Collective &group) {
  const auto lane = [&](int l) -> const WgmmaOperand & {
    return *static_cast<const WgmmaOperand *>(group.operands[l]);
  };
  Thread &first = *group.threads[0];
  Warpgroup &warpgroup = first.block->warpgroups[first.index.x / 128];
  if (warpgroup.engine < 0)
    warpgroup.engine = machine->newWgmmaEngine();
  ++warpgroup.time;
  const WgmmaOperand &operand = lane(0);
  for (int l = 1; l < 128; ++l)
    if (lane(l).descriptor != operand.descriptor || lane(l).accumulate != operand.accumulate ||
        lane(l).columns != operand.columns)
      return fail(fmt::format("{}: the threads of a warpgroup issue different wgmma", who(first)),
                  group.site);
  std::vector<float> b(size_t(operand.columns) * 16);
  if (!readB(group, operand, warpgroup, b.data()))
    return;
  for (int warp = 0; warp < 4; ++warp) {
    float a[16][16];
    gatherA(a, operand.isBf16 ? DType::BF16 : DType::F16,
            [&](int l) { return lane(warp * 32 + l).a; });
    for (int l = 0; l < 32; ++l) {
      const int number = warp * 32 + l;
      Accumulator *d = openAccumulator(*group.threads[number], lane(number), group.site);
      if (!d)
        return;
      for (int j = 0; j < operand.columns / 8; ++j)
        addProducts(&d->values[size_t(j) * 4], l, a, &b[size_t(j) * 128]);
    }
  }
}

/// Enters the collective of the running thread's warpgroup, which is whole or the block's last.
void enterWarpgroup(const char *name, void *operand, void (*body)(Collective &), const void *site) {
  Thread &thread = currentThread();
  const int number = int(thread.index.x) / 128;
  Warpgroup &warpgroup = thread.block->warpgroups[size_t(number)];
  warpgroup.collective.site = site;
  enter(warpgroup.collective, std::min(128, machine->launch->threads - number * 128),
        int(thread.index.x % 128), name, operand, body);
}

constexpr char kWgmma[] = "wgmma", kSetMaxRegisters[] = "setmaxnreg", kLoad[] = "ldmatrix",
               kStore[] = "stmatrix", kMmaF16[] = "mma.f16", kBroadcast[] = "shfl",
               kMmaBf16[] = "mma.bf16", kLoadTransposed[] = "ldmatrix.trans",
               kShuffleXor[] = "shfl.bfly", kShuffle[] = "shfl.idx";

/// Hands each lane the value of the lane that it names.
uint32_t exchange(const char *name, uint32_t value, int lane, const void *site) {
  struct Operand {
    uint32_t value;
    int lane;
  } operand = {value, lane};
  enterWarp(
      name, &operand,
      [](Collective &warp) {
        uint32_t values[32];
        for (int l = 0; l < 32; ++l)
          values[l] = static_cast<const Operand *>(warp.operands[l])->value;
        for (int l = 0; l < 32; ++l) {
          Operand &own = *static_cast<Operand *>(warp.operands[l]);
          own.value = values[own.lane];
        }
      },
      site);
  return operand.value;
}

} // namespace

void mmaF16(MmaOperand operand) {
  const Unwatched unwatched;
  enterWarp(kMmaF16, &operand, mmaAll<DType::F16>, __builtin_return_address(0));
}
void mmaBf16(MmaOperand operand) {
  const Unwatched unwatched;
  enterWarp(kMmaBf16, &operand, mmaAll<DType::BF16>, __builtin_return_address(0));
}

void loadMatrices(int matrices, const void *row, uint32_t *d) {
  const Unwatched unwatched;
  MatrixOperand operand = {matrices, static_cast<uint8_t *>(const_cast<void *>(row)), d};
  enterWarp(kLoad, &operand, loadAll, __builtin_return_address(0));
}
void loadMatricesTransposed(int matrices, const void *row, uint32_t *d) {
  const Unwatched unwatched;
  MatrixOperand operand = {matrices, static_cast<uint8_t *>(const_cast<void *>(row)), d};
  enterWarp(kLoadTransposed, &operand, loadAllTransposed, __builtin_return_address(0));
}
void storeMatricesTransposed(int matrices, void *column, const uint32_t *d) {
  const Unwatched unwatched;
  MatrixOperand operand = {matrices, static_cast<uint8_t *>(column), const_cast<uint32_t *>(d)};
  enterWarp(kStore, &operand, storeAllTransposed, __builtin_return_address(0));
}

uint32_t broadcastLane0(uint32_t value) {
  const Unwatched unwatched;
  enterWarp(
      kBroadcast, &value,
      [](Collective &warp) {
        const uint32_t first = *static_cast<const uint32_t *>(warp.operands[0]);
        for (void *operand : std::span(warp.operands, 32))
          *static_cast<uint32_t *>(operand) = first;
      },
      __builtin_return_address(0));
  return value;
}

uint32_t shuffleXor(uint32_t value, int mask) {
  const Unwatched unwatched;
  return exchange(kShuffleXor, value, int(currentThread().index.x % 32) ^ mask,
                  __builtin_return_address(0));
}

uint32_t shuffle(uint32_t value, int lane) {
  const Unwatched unwatched;
  return exchange(kShuffle, value, lane, __builtin_return_address(0));
}

void wgmma(WgmmaOperand operand) {
  const Unwatched unwatched;
  enterWarpgroup(kWgmma, &operand, wgmmaAll, __builtin_return_address(0));
}

void wgmmaFence() { currentThread().fenced = true; }

void wgmmaCommit() {
  const Unwatched unwatched;
  Thread &thread = currentThread();
  thread.wgmmaTimes.push_back(thread.block->warpgroups[thread.index.x / 128].time);
  ++thread.wgmmaGroup;
  thread.fenced = false;
}

void wgmmaWait(int pending) {
  const Unwatched unwatched;
  const void *site = __builtin_return_address(0);
  Thread &thread = currentThread();
  Warpgroup &warpgroup = thread.block->warpgroups[thread.index.x / 128];
  while (thread.wgmmaTimes.size() > size_t(pending)) {
    const uint32_t time = thread.wgmmaTimes.front();
    thread.wgmmaTimes.pop_front();
    if (warpgroup.engine < 0)
      continue;
    const size_t warp = thread.index.x / 32 % 4, part = size_t(warpgroup.engine) + warp;
    Clock &finished = warpgroup.finished[warp];
    if (finished.at(part) != time) {
      finished = Clock();
      finished.raise(part, time);
    }
    thread.view.known.join(finished);
  }
  const uint64_t finished = thread.wgmmaGroup - 1 - thread.wgmmaTimes.size();
  std::erase_if(thread.fragments, [&](const FragmentInFlight &fragment) {
    if (fragment.group > finished)
      return false;
    if (!std::equal(fragment.values, fragment.values + 4, fragment.a))
      fail(fmt::format("{}: registers of A were overwritten while a wgmma read them", who(thread)),
           site);
    return true;
  });
  std::erase_if(thread.accumulators, [&](const Accumulator &accumulator) {
    if (accumulator.group > finished)
      return false;
    std::copy(accumulator.values.begin(), accumulator.values.end(), accumulator.d);
    return true;
  });
}

void setMaxRegisters(int count) {
  const Unwatched unwatched;
  enterWarpgroup(
      kSetMaxRegisters, &count,
      [](Collective &group) {
        const int wanted = *static_cast<const int *>(group.operands[0]);
        for (int l = 0; l < 128 && group.operands[l]; ++l)
          if (*static_cast<const int *>(group.operands[l]) != wanted || wanted % 8 != 0 ||
              wanted < 24 || wanted > 256)
            return fail(fmt::format("{}: setmaxnreg {} in a warpgroup with {}",
                                    who(*group.threads[l]),
                                    *static_cast<const int *>(group.operands[l]), wanted),
                        group.site);
      },
      __builtin_return_address(0));
}

} // namespace gptqc::sim
