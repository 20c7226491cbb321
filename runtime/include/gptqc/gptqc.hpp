// C++17 over gptqc.h, header-only: objects free themselves, errors are exceptions of type
// gptqc::error. Thread-safety and lifetimes are those of the C interface.
#ifndef GPTQC_RUNTIME_INCLUDE_GPTQC_GPTQC_HPP
#define GPTQC_RUNTIME_INCLUDE_GPTQC_GPTQC_HPP

#include <gptqc/gptqc.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace gptqc {

/// What a failed call reports; code() is one of GPTQC_INVALID_ARGUMENT and so on.
class error : public std::runtime_error {
public:
  error(int code, const std::string &message) : std::runtime_error(message), code_(code) {}
  int code() const noexcept { return code_; }

private:
  int code_;
};

/// Throws and frees an error; nullptr does nothing.
inline void check(gptqc_error *failure) {
  if (!failure)
    return;
  const error thrown(gptqc_error_code(failure), gptqc_error_message(failure));
  gptqc_error_free(failure);
  throw thrown;
}

namespace detail {
template <typename T, void (*Free)(T *)> struct deleter {
  void operator()(T *object) const noexcept { Free(object); }
};
template <typename T, void (*Free)(T *)> using owner = std::unique_ptr<T, deleter<T, Free>>;
} // namespace detail

/// A folder of a GPTQ model.
class checkpoint {
public:
  explicit checkpoint(const std::string &folder) {
    gptqc_checkpoint *made = nullptr;
    check(gptqc_checkpoint_open(folder.c_str(), &made));
    handle_.reset(made);
  }
  std::size_t layer_count() const noexcept { return gptqc_checkpoint_layer_count(get()); }
  std::string layer_name(std::size_t index) const {
    return gptqc_checkpoint_layer_name(get(), index);
  }
  std::string layer_descriptor(std::size_t index) const {
    return gptqc_checkpoint_layer_descriptor(get(), index);
  }
  gptqc_checkpoint *get() const noexcept { return handle_.get(); }

private:
  detail::owner<gptqc_checkpoint, gptqc_checkpoint_free> handle_;
};

/// A layer that runs on the CPU.
class layer {
public:
  explicit layer(const gptqc_layer_codes &codes) {
    gptqc_layer *made = nullptr;
    check(gptqc_layer_from_codes(&codes, &made));
    handle_.reset(made);
  }
  layer(const checkpoint &source, const std::string &name) {
    gptqc_layer *made = nullptr;
    check(gptqc_layer_from_checkpoint(source.get(), name.c_str(), &made));
    handle_.reset(made);
  }
  /// A grouped layer.
  explicit layer(const std::vector<gptqc_layer_codes> &experts) {
    gptqc_layer *made = nullptr;
    check(gptqc_layer_from_experts(experts.data(), experts.size(), &made));
    handle_.reset(made);
  }
  std::string descriptor() const { return gptqc_layer_descriptor(get()); }
  void run(const std::uint16_t *x, std::int64_t ldx, std::int64_t m, std::uint16_t *y,
           std::int64_t ldy, std::int32_t threads = 0) const {
    check(gptqc_layer_run_cpu(get(), x, ldx, m, threads, y, ldy));
  }
  void run_grouped(const std::uint16_t *x, std::int64_t ldx, std::int64_t rows,
                   const std::int32_t *offsets, std::uint16_t *y, std::int64_t ldy,
                   std::int32_t threads = 0) const {
    check(gptqc_layer_run_grouped_cpu(get(), x, ldx, rows, offsets, threads, y, ldy));
  }
  gptqc_layer *get() const noexcept { return handle_.get(); }

private:
  detail::owner<gptqc_layer, gptqc_layer_free> handle_;
};

/// gptqc_context_options with its own strings.
struct context_options {
  int device = 0;
  bool no_jit = false;
  int threads = 0;
  std::vector<std::string> packs;
  bool use_cache = true;
  std::string cache; ///< empty: the default folder
  const gptqc_compiler *compiler = nullptr;
  gptqc_log log = nullptr;
  void *log_user = nullptr;
  std::string log_topics;
};

/// A GPU and where its kernels come from.
class context {
public:
  explicit context(const context_options &options = {}) {
    std::vector<const char *> packs;
    for (const std::string &pack : options.packs)
      packs.push_back(pack.c_str());
    gptqc_context_options plain = {};
    plain.struct_size = sizeof plain;
    plain.device = options.device;
    plain.no_jit = options.no_jit;
    plain.threads = options.threads;
    plain.packs = packs.data();
    plain.pack_count = packs.size();
    plain.cache = !options.use_cache ? "" : options.cache.empty() ? nullptr : options.cache.c_str();
    plain.compiler = options.compiler;
    plain.log = options.log;
    plain.log_user = options.log_user;
    plain.log_topics = options.log_topics.c_str();
    gptqc_context *made = nullptr;
    check(gptqc_context_create(&plain, &made));
    handle_.reset(made);
  }
  std::string target() const { return gptqc_context_target(get()); }
  /// Zeroes a workspace's counters, once, in stream order.
  void init_workspace(std::uint64_t workspace, std::int64_t bytes, void *stream) const {
    check(gptqc_workspace_init(get(), workspace, bytes, stream));
  }
  gptqc_context *get() const noexcept { return handle_.get(); }

private:
  detail::owner<gptqc_context, gptqc_context_free> handle_;
};

/// gptqc_linear_options with its size filled in.
inline gptqc_linear_options linear_options() {
  gptqc_linear_options options = {};
  options.struct_size = sizeof options;
  return options;
}

/// A layer on the GPU.
class linear {
public:
  linear(const context &owner, const std::vector<gptqc_tensors> &parts,
         const gptqc_linear_options &options = linear_options(), void *stream = nullptr) {
    gptqc_linear *made = nullptr;
    check(gptqc_linear_create(owner.get(), parts.data(), parts.size(), &options, stream, &made));
    handle_.reset(made);
  }
  linear(const context &owner, const checkpoint &source, const std::vector<std::string> &names,
         const gptqc_linear_options &options = linear_options(), void *stream = nullptr) {
    std::vector<const char *> plain;
    for (const std::string &name : names)
      plain.push_back(name.c_str());
    gptqc_linear *made = nullptr;
    check(gptqc_linear_from_checkpoint(owner.get(), source.get(), plain.data(), plain.size(),
                                       &options, stream, &made));
    handle_.reset(made);
  }
  /// A grouped layer; `parts` holds the parts of each expert side by side.
  static linear grouped(const context &owner, const std::vector<gptqc_tensors> &parts,
                        std::size_t experts, const gptqc_linear_options &options = linear_options(),
                        void *stream = nullptr) {
    gptqc_linear *made = nullptr;
    check(gptqc_linear_create_grouped(owner.get(), parts.data(), experts,
                                      experts ? parts.size() / experts : 0, &options, stream,
                                      &made));
    return linear(made);
  }
  std::string descriptor() const { return gptqc_linear_descriptor(get()); }
  std::int64_t bytes() const noexcept { return gptqc_linear_bytes(get()); }
  std::vector<std::int32_t> input_columns() const {
    std::vector<std::int32_t> columns(
        static_cast<std::size_t>(gptqc_linear_input_columns(get(), nullptr, 0)));
    gptqc_linear_input_columns(get(), columns.data(), static_cast<std::int64_t>(columns.size()));
    return columns;
  }
  void prepare(std::int64_t m_lo, std::int64_t m_hi) const {
    gptqc_linear *self = get();
    check(gptqc_prepare(&self, 1, m_lo, m_hi));
  }
  std::int64_t workspace(std::int64_t max_m, bool aligned_x = true) const {
    std::int64_t bytes = 0;
    check(gptqc_linear_workspace(get(), max_m, aligned_x, &bytes));
    return bytes;
  }
  void run(std::uint64_t x, std::int64_t ldx, std::int64_t m, std::uint64_t y, std::int64_t ldy,
           std::uint64_t workspace, std::int64_t workspace_bytes, void *stream) const {
    check(gptqc_linear_run(get(), x, ldx, m, y, ldy, workspace, workspace_bytes, stream));
  }
  void run_grouped(std::uint64_t x, std::int64_t ldx, std::int64_t rows, std::uint64_t offsets,
                   std::uint64_t y, std::int64_t ldy, std::uint64_t workspace,
                   std::int64_t workspace_bytes, void *stream) const {
    check(gptqc_linear_run_grouped(get(), x, ldx, rows, offsets, y, ldy, workspace, workspace_bytes,
                                   stream));
  }
  gptqc_linear *get() const noexcept { return handle_.get(); }

private:
  explicit linear(gptqc_linear *made) : handle_(made) {}
  detail::owner<gptqc_linear, gptqc_linear_free> handle_;
};

/// Gets the kernels of several layers ready in parallel.
inline void prepare(const std::vector<gptqc_linear *> &linears, std::int64_t m_lo,
                    std::int64_t m_hi) {
  check(gptqc_prepare(linears.data(), linears.size(), m_lo, m_hi));
}

} // namespace gptqc

#endif // GPTQC_RUNTIME_INCLUDE_GPTQC_GPTQC_HPP
