/* Embeds gptqc in plain C: opens a GPTQ checkpoint, gets its kernels ready from a pack, runs a
   layer in a CUDA graph where there is a GPU, and compares with the CPU executor.

     c_embed MODEL [PACK]

   The CUDA driver is opened with dlopen, so this builds and starts on machines without one. */
#include <gptqc/gptqc.h>

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 16, REPLAYS = 3 };

static void fail(gptqc_error *error) {
  if (!error)
    return;
  fprintf(stderr, "c_embed: error: %s\n", gptqc_error_message(error));
  gptqc_error_free(error);
  exit(1);
}

static void *allocate(size_t bytes) {
  void *memory = calloc(bytes ? bytes : 1, 1);
  if (!memory) {
    fputs("c_embed: error: out of memory\n", stderr);
    exit(1);
  }
  return memory;
}

static float half_to_float(uint16_t bits) {
  const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  const float magnitude =
      exponent ? ldexpf((float)(mantissa + 1024), exponent - 25) : ldexpf((float)mantissa, -24);
  return bits & 0x8000 ? -magnitude : magnitude;
}

static float bfloat_to_float(uint16_t bits) {
  const uint32_t wide = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &wide, sizeof value);
  return value;
}

/* The few driver functions that a host application has anyway; the names are the driver's. */
static struct driver {
  int (*stream_create)(void **, unsigned);
  int (*stream_synchronize)(void *);
  int (*begin_capture)(void *, int);
  int (*end_capture)(void *, void **);
  int (*instantiate)(void **, void *, unsigned long long);
  int (*launch)(void *, void *);
  int (*allocate)(uint64_t *, size_t);
  int (*to_device)(uint64_t, const void *, size_t);
  int (*to_host)(void *, uint64_t, size_t);
  int (*retain)(void **, int);
  int (*set_current)(void *);
} cuda;

static void must(int result, const char *what) {
  if (result != 0) {
    fprintf(stderr, "c_embed: error: %s: CUDA error %d\n", what, result);
    exit(1);
  }
}

static void load(void *library, void *function, const char *name) {
  void *symbol = dlsym(library, name);
  if (!symbol) {
    fprintf(stderr, "c_embed: error: the driver has no %s\n", name);
    exit(1);
  }
  memcpy(function, &symbol, sizeof symbol);
}

static void open_driver(void) {
  void *library = dlopen("libcuda.so.1", RTLD_NOW);
  void *primary = NULL;
  if (!library) {
    fprintf(stderr, "c_embed: error: %s\n", dlerror());
    exit(1);
  }
  load(library, &cuda.stream_create, "cuStreamCreate");
  load(library, &cuda.stream_synchronize, "cuStreamSynchronize");
  load(library, &cuda.begin_capture, "cuStreamBeginCapture_v2");
  load(library, &cuda.end_capture, "cuStreamEndCapture");
  load(library, &cuda.instantiate, "cuGraphInstantiateWithFlags");
  load(library, &cuda.launch, "cuGraphLaunch");
  load(library, &cuda.allocate, "cuMemAlloc_v2");
  load(library, &cuda.to_device, "cuMemcpyHtoD_v2");
  load(library, &cuda.to_host, "cuMemcpyDtoH_v2");
  load(library, &cuda.retain, "cuDevicePrimaryCtxRetain");
  load(library, &cuda.set_current, "cuCtxSetCurrent");
  must(cuda.retain(&primary, 0), "cuDevicePrimaryCtxRetain");
  must(cuda.set_current(primary), "cuCtxSetCurrent");
}

/* One layer and its data. */
struct job {
  const char *name;
  gptqc_layer *cpu;
  int64_t k, outputs;
  int bf16;
  uint16_t *x, *expected, *y;
};

/* n4096 k4096 of "w4 g128 sym f16->f16 n4096 k4096 m1.." */
static void read_shape(struct job *job) {
  const char *text = gptqc_layer_descriptor(job->cpu);
  const char *n = strstr(text, " n"), *k = strstr(text, " k");
  job->outputs = n ? strtoll(n + 2, NULL, 10) : 0;
  job->k = k ? strtoll(k + 2, NULL, 10) : 0;
  job->bf16 = strstr(text, "->bf16") != NULL;
}

static void run_on_cpu(struct job *job) {
  const uint16_t one = job->bf16 ? 0x3f80 : 0x3c00, small = job->bf16 ? 0x3e00 : 0x3000;
  int64_t i;
  read_shape(job);
  job->x = allocate((size_t)(TOKENS * job->k) * 2);
  job->expected = allocate((size_t)(TOKENS * job->outputs) * 2);
  job->y = allocate((size_t)(TOKENS * job->outputs) * 2);
  for (i = 0; i < TOKENS * job->k; ++i) /* 1 or 1/8, either sign */
    job->x[i] = (uint16_t)(((i * 7919 / 13) % 3 ? small : one) | ((i * 31 / 7) % 2 ? 0x8000 : 0));
  fail(gptqc_layer_run_cpu(job->cpu, job->x, job->k, TOKENS, 0, job->expected, job->outputs));
}

/* The largest difference, relative to the largest output. */
static double difference(const struct job *job) {
  double most = 0, largest = 1e-6;
  int64_t i;
  for (i = 0; i < TOKENS * job->outputs; ++i) {
    const double a =
        job->bf16 ? bfloat_to_float(job->expected[i]) : half_to_float(job->expected[i]);
    const double b = job->bf16 ? bfloat_to_float(job->y[i]) : half_to_float(job->y[i]);
    if (!(fabs(a - b) <= most))
      most = fabs(a - b);
    if (fabs(a) > largest)
      largest = fabs(a);
  }
  return most / largest;
}

static int run_on_gpu(struct job *job, gptqc_context *context, const gptqc_checkpoint *model) {
  gptqc_linear *linear = NULL;
  void *stream = NULL, *graph = NULL, *executable = NULL;
  uint64_t x = 0, y = 0, workspace = 0;
  int64_t bytes = 0;
  int replay;
  const size_t x_bytes = (size_t)(TOKENS * job->k) * 2,
               y_bytes = (size_t)(TOKENS * job->outputs) * 2;
  must(cuda.stream_create(&stream, 1), "cuStreamCreate");
  fail(gptqc_linear_from_checkpoint(context, model, &job->name, 1, NULL, stream, &linear));
  fail(gptqc_prepare(&linear, 1, TOKENS, TOKENS));
  fail(gptqc_linear_workspace(linear, TOKENS, job->k % 8 == 0, &bytes));
  must(cuda.allocate(&x, x_bytes), "cuMemAlloc");
  must(cuda.allocate(&y, y_bytes), "cuMemAlloc");
  must(cuda.allocate(&workspace, bytes ? (size_t)bytes : 1), "cuMemAlloc");
  must(cuda.to_device(x, job->x, x_bytes), "cuMemcpyHtoD");
  fail(gptqc_workspace_init(context, workspace, bytes, stream));
  must(cuda.begin_capture(stream, 1), "cuStreamBeginCapture");
  fail(gptqc_linear_run(linear, x, job->k, TOKENS, y, job->outputs, workspace, bytes, stream));
  must(cuda.end_capture(stream, &graph), "cuStreamEndCapture");
  must(cuda.instantiate(&executable, graph, 0), "cuGraphInstantiate");
  for (replay = 0; replay < REPLAYS; ++replay) {
    double error;
    must(cuda.launch(executable, stream), "cuGraphLaunch");
    must(cuda.stream_synchronize(stream), "cuStreamSynchronize");
    must(cuda.to_host(job->y, y, y_bytes), "cuMemcpyDtoH");
    error = difference(job);
    printf("%s: graph replay %d, largest difference from the CPU %.2g\n", job->name, replay, error);
    if (!(error < 0.01))
      return 1;
  }
  gptqc_linear_free(linear);
  return 0;
}

int main(int argc, char **argv) {
  gptqc_checkpoint *model = NULL;
  gptqc_context *context = NULL;
  gptqc_context_options options;
  const char *packs[1];
  struct job job;
  int result = 0;
  if (argc < 2 || argc > 3 || gptqc_abi() != GPTQC_ABI) {
    fputs("usage: c_embed MODEL [PACK]\n", stderr);
    return 2;
  }
  memset(&job, 0, sizeof job);
  memset(&options, 0, sizeof options);
  fail(gptqc_checkpoint_open(argv[1], &model));
  printf("gptqc %s, %s: %lu layers\n", gptqc_version(), argv[1],
         (unsigned long)gptqc_checkpoint_layer_count(model));
  job.name = gptqc_checkpoint_layer_name(model, 0);
  fail(gptqc_layer_from_checkpoint(model, job.name, &job.cpu));
  run_on_cpu(&job);
  printf("%s: %s, %d tokens on the CPU\n", job.name, gptqc_layer_descriptor(job.cpu), TOKENS);

  if (argc == 3) {
    gptqc_error *error;
    packs[0] = argv[2];
    options.struct_size = sizeof options;
    options.no_jit = 1;
    options.packs = packs;
    options.pack_count = 1;
    options.cache = "";
    error = gptqc_context_create(&options, &context);
    if (gptqc_error_code(error) == GPTQC_DEVICE_ERROR) {
      printf("no GPU: %s\n", gptqc_error_message(error));
      gptqc_error_free(error);
    } else {
      fail(error);
      printf("GPU: %s\n", gptqc_context_target(context));
      open_driver();
      result = run_on_gpu(&job, context, model);
      gptqc_context_free(context);
    }
  }
  gptqc_layer_free(job.cpu);
  gptqc_checkpoint_free(model);
  free(job.x);
  free(job.expected);
  free(job.y);
  return result;
}
