# Everything we take from outside, in one place.
find_package(Threads REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(Protobuf REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(spdlog REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(CLI11 REQUIRED)
if(TIDELINE_TESTS)
  find_package(GTest REQUIRED)
  find_package(rapidcheck REQUIRED)
endif()

# The onnx.proto classes of libonnx-dev: for reading, cutting and writing models, never for running them.
find_library(ONNX_PROTO_LIBRARY onnx_proto REQUIRED)
add_library(onnx_proto INTERFACE)
target_compile_definitions(onnx_proto INTERFACE ONNX_NAMESPACE=onnx ONNX_ML=1)
target_link_libraries(onnx_proto INTERFACE "${ONNX_PROTO_LIBRARY}" protobuf::libprotobuf)

# JPEG decoding; PNG is stb_image, a header of libstb-dev.
find_library(TURBOJPEG_LIBRARY turbojpeg REQUIRED)
add_library(turbojpeg INTERFACE)
target_link_libraries(turbojpeg INTERFACE "${TURBOJPEG_LIBRARY}")

# The state of a coordinator.
find_library(SQLITE3_LIBRARY sqlite3 REQUIRED)
add_library(sqlite3 INTERFACE)
target_link_libraries(sqlite3 INTERFACE "${SQLITE3_LIBRARY}")

# What a codec's numbers may be followed by.
foreach(name lz4 zstd)
  string(TOUPPER ${name} upper)
  find_library(${upper}_LIBRARY ${name} REQUIRED)
  add_library(${name} INTERFACE)
  target_link_libraries(${name} INTERFACE "${${upper}_LIBRARY}")
endforeach()

# ONNX Runtime: the user's own, or the pinned npm packages (library and headers come from two of them).
if(ONNXRUNTIME_ROOT)
  find_path(ORT_INCLUDE onnxruntime_c_api.h REQUIRED NO_DEFAULT_PATH NO_CACHE
            PATHS "${ONNXRUNTIME_ROOT}/include" "${ONNXRUNTIME_ROOT}/include/onnxruntime" "${ONNXRUNTIME_ROOT}/include/onnxruntime/core/session")
  find_library(ORT_LIBRARY NAMES onnxruntime libonnxruntime.so.1 REQUIRED NO_DEFAULT_PATH NO_CACHE PATHS "${ONNXRUNTIME_ROOT}/lib" "${ONNXRUNTIME_ROOT}")
else()
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    set(ort_arch arm64)
  else()
    set(ort_arch x64)
  endif()
  set(ORT_LIBRARY "${TIDELINE_THIRD_PARTY}/node_modules/onnxruntime-node/bin/napi-v6/linux/${ort_arch}/libonnxruntime.so.1")
  set(ORT_INCLUDE "${TIDELINE_THIRD_PARTY}/node_modules/com.github.asus4.onnxruntime/Plugins/iOS~/onnxruntime.xcframework/ios-arm64/onnxruntime.framework/Headers")
  if(NOT EXISTS "${ORT_LIBRARY}" OR NOT EXISTS "${ORT_INCLUDE}/onnxruntime_c_api.h")
    message(FATAL_ERROR "ONNX Runtime is not there: run tools/setup first, or give your own with -DONNXRUNTIME_ROOT=DIR")
  endif()
endif()
add_library(onnxruntime SHARED IMPORTED)
set_target_properties(onnxruntime PROPERTIES IMPORTED_LOCATION "${ORT_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${ORT_INCLUDE}")

# libtorch, for training only; Debian's libtorch-dev or a user's own. Nothing but train/engine links it: it brings hundreds of
# shared libraries, which neither the planner's program nor a device's daemon should load. Its own CMake package also looks for
# what only its builders need, so library and headers are found here.
set(TORCH_ROOT "" CACHE PATH "A user's own libtorch (include/ and lib/); empty: Debian's")
find_path(TORCH_INCLUDE ATen/ATen.h NO_CACHE HINTS "${TORCH_ROOT}/include")
find_library(TORCH_CPU_LIBRARY torch_cpu NO_CACHE HINTS "${TORCH_ROOT}/lib")
find_library(C10_LIBRARY c10 NO_CACHE HINTS "${TORCH_ROOT}/lib")
if(TORCH_INCLUDE AND TORCH_CPU_LIBRARY AND C10_LIBRARY)
  set(torch_found ON)
else()
  set(torch_found OFF)
endif()
# Off by default where sanitizers watch: libtorch is not built with them, and its globals would be reported.
if(torch_found AND NOT TIDELINE_SANITIZE AND NOT TIDELINE_FUZZ)
  set(train_default ON)
else()
  set(train_default OFF)
endif()
option(TIDELINE_TRAIN "Build training (libtorch)" ${train_default})
if(TIDELINE_TRAIN)
  if(NOT torch_found)
    message(FATAL_ERROR "TIDELINE_TRAIN is on, but libtorch was not found: run `tools/setup train`, set TORCH_ROOT, or turn TIDELINE_TRAIN off")
  endif()
  add_library(torch INTERFACE)
  target_include_directories(torch SYSTEM INTERFACE "${TORCH_INCLUDE}")
  target_link_libraries(torch INTERFACE "${TORCH_CPU_LIBRARY}" "${C10_LIBRARY}")
endif()
