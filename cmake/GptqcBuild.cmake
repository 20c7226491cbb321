# Compiler settings shared by every target, and the two functions that declare libraries and tests.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 99)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

add_compile_options(-Wall -Wextra)
# Presets join up to 8 files of a target to one translation unit, which halves the build's time: names in anonymous
# namespaces differ within a target. `dev` compiles each file alone.
set(CMAKE_UNITY_BUILD_BATCH_SIZE 8)
if(CMAKE_UNITY_BUILD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wno-subobject-linkage>) # a .cpp may well have such types
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang") # pragmas for GCC's vectorizer; std::stable_sort of libstdc++ 12
  add_compile_options(-Wno-unknown-pragmas -Wno-deprecated-declarations)
endif()
# Self-contained binaries: libstdc++ inside, nothing linked that is not used.
if(GPTQC_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
  # With clang the fuzz targets get libFuzzer, and what they link the coverage that guides it; tests and inner
  # loops do without (GPTQC_NO_COVERAGE).
  include(CheckCXXSourceCompiles)
  set(CMAKE_REQUIRED_FLAGS -fsanitize=fuzzer,address)
  check_cxx_source_compiles("extern \"C\" int LLVMFuzzerTestOneInput(const char *, unsigned long) { return 0; }"
                            GPTQC_LIBFUZZER)
  unset(CMAKE_REQUIRED_FLAGS)
  if(GPTQC_LIBFUZZER AND GPTQC_TEST_TREE MATCHES "^(asan|all)$")
    add_compile_options(-fsanitize=fuzzer-no-link)
    set(GPTQC_NO_COVERAGE -fno-sanitize=fuzzer-no-link)
  endif()
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang") # libraries opened at run time name the types of their parameters themselves
    add_compile_options(-fno-sanitize=function)
  endif()
else()
  add_link_options(-Wl,--as-needed -static-libstdc++ -static-libgcc)
endif()

# gptqc_option_with_package(NAME TEXT PACKAGE): an option that needs a package. Defaults to ON with the
# compiler; without it, to whether the package is there.
macro(gptqc_option_with_package name text package)
  find_package(${package} QUIET)
  if(GPTQC_COMPILER OR ${package}_FOUND)
    option(${name} "${text}" ON)
  else()
    option(${name} "${text}" OFF)
    if(NOT ${name})
      message(STATUS "${name} is OFF: ${package} not found")
    endif()
  endif()
  if(${name} AND NOT ${package}_FOUND)
    message(FATAL_ERROR "${name} needs ${package}: run scripts/setup.sh, or pass -D${name}=OFF")
  endif()
endmacro()

# gptqc_optimize_sanitized(HOW FILE...): inner loops of tests, too slow where nothing is optimized; HOW: -O1 or -O2.
function(gptqc_optimize_sanitized how)
  if(GPTQC_SANITIZE)
    set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS ${how} SKIP_PRECOMPILE_HEADERS ON)
  endif()
endfunction()

# Declares gptqc_fmt: fmt inside our binaries, compiled once where Fmt.cpp knows the version, else header-only.
function(gptqc_fmt_library)
  if(fmt_VERSION VERSION_GREATER_EQUAL 9 AND fmt_VERSION VERSION_LESS 10)
    get_target_property(include fmt::fmt-header-only INTERFACE_INCLUDE_DIRECTORIES)
    add_library(gptqc_fmt STATIC "${PROJECT_SOURCE_DIR}/cmake/Fmt.cpp")
    target_include_directories(gptqc_fmt SYSTEM PUBLIC ${include})
  else()
    add_library(gptqc_fmt INTERFACE)
    target_link_libraries(gptqc_fmt INTERFACE fmt::fmt-header-only)
  endif()
endfunction()

# Declares gptqc_version, which holds the commit; linked by the tools and the runtime library alone.
function(gptqc_version_library)
  set(source "${PROJECT_BINARY_DIR}/version/Version.cpp")
  add_custom_target(gptqc_version_source
    COMMAND ${CMAKE_COMMAND} "-DSOURCE_DIR=${PROJECT_SOURCE_DIR}" "-DOUTPUT=${source}"
            "-DVERSION=${PROJECT_VERSION}" -P "${PROJECT_SOURCE_DIR}/cmake/GptqcVersion.cmake"
    BYPRODUCTS "${source}" VERBATIM COMMENT "")
  add_library(gptqc_version STATIC "${source}")
  add_dependencies(gptqc_version gptqc_version_source)
  target_include_directories(gptqc_version PUBLIC "${PROJECT_SOURCE_DIR}")
endfunction()

# gptqc_library(NAME SOURCES a.cpp ... DEPS x ...): a static library; includes are relative to the root.
function(gptqc_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}")
  target_link_libraries(${name} PUBLIC ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
endfunction()

# gptqc_test(NAME TREE release|asan SOURCES ... DEPS ... [LABEL unit] [FIRST]): one gtest executable, registered
# as one ctest, built only in its tree (or in a tree that builds all). FIRST: a long one, which ctest starts early.
function(gptqc_test name)
  cmake_parse_arguments(ARG "FIRST" "TREE;LABEL;TIMEOUT" "SOURCES;DEPS;ENV" ${ARGN})
  if(NOT GPTQC_TEST_TREE STREQUAL "all" AND NOT GPTQC_TEST_TREE STREQUAL ARG_TREE)
    return()
  endif()
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 900) # of what hangs; shared machines are at times ten times slower
  endif()
  add_executable(${name} ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests/bin")
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gtest GTest::gtest_main)
  # Fields that a designated initializer leaves out have defaults. Test programs are compiled for build
  # time, what they test as it ships.
  target_compile_options(${name} PRIVATE -Wno-missing-field-initializers
                                         $<$<CONFIG:Release>:-O1> ${GPTQC_NO_COVERAGE})
  target_compile_definitions(${name} PRIVATE GPTQC_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                                             GPTQC_BINARY_DIR="${PROJECT_BINARY_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABEL}" TIMEOUT ${ARG_TIMEOUT}
                                          ENVIRONMENT "${ARG_ENV}")
  if(ARG_FIRST)
    set_tests_properties(${name} PROPERTIES COST 1000)
  endif()
  if(ARG_LABEL STREQUAL "nvrtc") # these compile on two threads
    set_tests_properties(${name} PROPERTIES PROCESSORS 2)
  endif()
endfunction()
