// Contexts: options in, a dispatcher on a GPU out.
#include "runtime/capi/CApiSupport.h"
#include "runtime/core/Version.h"

using namespace gptqc;
using namespace gptqc::capi;

namespace {

/// Takes over what a compiler's function returned.
Result<KernelImage> takeImage(gptqc_error *error, gptqc_image &image, std::string_view what) {
  if (error) {
    const int code = gptqc_error_code(error);
    Status status(code >= GPTQC_INVALID_ARGUMENT && code <= GPTQC_INTERNAL ? Code(code)
                                                                           : Code::Internal,
                  gptqc_error_message(error));
    gptqc_error_free(error);
    return status;
  }
  Result<KernelImage> taken =
      image.data ? KernelImage::deserialize(image.data, image.size,
                                            fmt::format("compiler's image of '{}'", what))
                 : Result<KernelImage>(
                       makeError(Code::CompileFailed, "the compiler gave no image for '{}'", what));
  if (image.release)
    image.release(&image);
  return taken;
}

Result<KernelCompiler> compilerOf(const gptqc_compiler *given) {
  if (!given)
    return KernelCompiler();
  GPTQC_TRY(checkStruct(*given, "gptqc_compiler"));
  if (!given->compile_linear || !given->compile_support)
    return invalidArgument("gptqc_compiler: compile_linear and compile_support must not be NULL");
  const gptqc_compiler table = *given;
  KernelCompiler compiler;
  compiler.linear = [table](const Descriptor &kernel, const Target &target) {
    gptqc_image image = {};
    const std::string descriptor = kernel.print(), gpu = target.print();
    return takeImage(table.compile_linear(table.user, descriptor.c_str(), gpu.c_str(), &image),
                     image, descriptor);
  };
  compiler.support = [table](std::string_view file, std::string_view entry, const Target &target) {
    gptqc_image image = {};
    const std::string fileText(file), entryText(entry), gpu = target.print();
    return takeImage(
        table.compile_support(table.user, fileText.c_str(), entryText.c_str(), gpu.c_str(), &image),
        image, file);
  };
  return compiler;
}

Result<Log> logOf(const gptqc_context_options &options) {
  Log::Sink sink;
  if (options.log)
    sink = [log = options.log, user = options.log_user](std::string_view line) {
      log(user, std::string(line).c_str());
    };
  return Log::create(options.log_topics ? options.log_topics : "", std::move(sink));
}

Result<KernelStoreOptions> storeOf(const gptqc_context_options &options) {
  KernelStoreOptions store;
  GPTQC_ASSIGN(store.log, logOf(options));
  GPTQC_ASSIGN(store.compiler, compilerOf(options.compiler));
  if (options.pack_count > 0 && !options.packs)
    return invalidArgument("gptqc_context_options: {} packs, but packs is NULL",
                           options.pack_count);
  for (size_t i = 0; i < options.pack_count; ++i) {
    if (!options.packs[i])
      return invalidArgument("gptqc_context_options: packs[{}] is NULL", i);
    GPTQC_ASSIGN(auto pack, Pack::open(options.packs[i]));
    store.packs.push_back(std::move(pack));
  }
  GPTQC_TRY(store.useCache(options.cache ? std::optional<std::string>(options.cache) : std::nullopt,
                           versionCacheBuild()));
  return store;
}

} // namespace

gptqc_error *gptqc_context_create(const gptqc_context_options *options, gptqc_context **context) {
  return guarded([&]() -> Status {
    if (!options || !context)
      return invalidArgument("gptqc_context_create: options and context must not be NULL");
    GPTQC_TRY(checkStruct(*options, "gptqc_context_options"));
    if (options->threads < 0)
      return invalidArgument("gptqc_context_options: threads is {}", options->threads);
    DispatcherOptions settings;
    settings.compileInRun = options->no_jit == 0;
    settings.threads = options->threads;
    GPTQC_ASSIGN(settings.store, storeOf(*options));
    GPTQC_ASSIGN(Device device, Device::open(options->device));
    auto made = std::make_unique<gptqc_context>();
    made->target = device.target().print();
    made->dispatcher = std::make_shared<Dispatcher>(std::move(device), std::move(settings));
    *context = made.release();
    return Status();
  });
}

void gptqc_context_free(gptqc_context *context) { delete context; }

const char *gptqc_context_target(const gptqc_context *context) {
  return context ? context->target.c_str() : "";
}

gptqc_error *gptqc_workspace_init(gptqc_context *context, uint64_t workspace, int64_t bytes,
                                  void *stream) {
  return guarded([&]() -> Status {
    if (!context || bytes < 0)
      return invalidArgument("gptqc_workspace_init: context is {}, bytes is {}",
                             context ? "given" : "NULL", bytes);
    return initializeWorkspace({workspace, bytes}, Stream::borrow(context->dispatcher->device(),
                                                                  static_cast<CuStream>(stream)));
  });
}
