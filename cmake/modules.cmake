# Headers that most files include and none of ours changes, compiled once: for libraries and programs, and for tests. A file still
# includes what it uses; the preset `dev` builds without them and finds what is missing.
function(tideline_precompiled name)
  cmake_parse_arguments(ARG "" "" "HEADERS;DEPENDS;OPTIONS" ${ARGN})
  file(WRITE "${PROJECT_BINARY_DIR}/${name}.cpp.new" "// Only so that there is something to compile the headers for.\n")
  file(COPY_FILE "${PROJECT_BINARY_DIR}/${name}.cpp.new" "${PROJECT_BINARY_DIR}/${name}.cpp" ONLY_IF_DIFFERENT)
  add_library(${name} OBJECT "${PROJECT_BINARY_DIR}/${name}.cpp")
  target_link_libraries(${name} PRIVATE tideline_flags fmt::fmt ${ARG_DEPENDS})
  target_compile_options(${name} PRIVATE ${ARG_OPTIONS})
  target_precompile_headers(${name} PRIVATE ${ARG_HEADERS})
endfunction()
# A test's own source is compiled more often than it runs; what it tests is optimised as users get it.
set(TIDELINE_TEST_OPTIONS "$<$<CONFIG:Release>:-O1>")
if(TIDELINE_PCH)
  set(headers <algorithm> <array> <atomic> <chrono> <condition_variable> <cstdint> <cstring> <filesystem> <functional> <limits> <map>
              <memory> <mutex> <numeric> <optional> <random> <set> <span> <string> <string_view> <thread> <unordered_map> <utility>
              <variant> <vector> <fmt/format.h> <nlohmann/json.hpp>)
  tideline_precompiled(tideline_pch HEADERS ${headers} DEPENDS nlohmann_json::nlohmann_json)
  if(TIDELINE_TESTS)
    tideline_precompiled(tideline_test_pch HEADERS ${headers} <gtest/gtest.h> <gmock/gmock.h>
                         DEPENDS nlohmann_json::nlohmann_json GTest::gtest GTest::gmock OPTIONS ${TIDELINE_TEST_OPTIONS})
  endif()
endif()
# For a target that links fmt and has no options of its own.
function(tideline_use_precompiled target from)
  if(TIDELINE_PCH)
    target_precompile_headers(${target} REUSE_FROM ${from})
  endif()
endfunction()

# Several sources of a folder are compiled as one, which takes half of the time of a build from nothing. Names in anonymous
# namespaces must then differ within a folder. For work on one file: -DTIDELINE_UNITY=OFF, as the preset `dev` has it.
function(tideline_use_unity target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${TIDELINE_UNITY} UNITY_BUILD_BATCH_SIZE 8)
endfunction()

# tideline_library(NAME SOURCES... DEPENDS...): one library per folder, so that the linker checks the direction of
# dependencies. Sources are listed, never globbed: a forgotten or dead file is then visible.
function(tideline_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PRIVATE" ${ARGN})
  add_library(tideline_${name} STATIC ${ARG_SOURCES})
  set_property(GLOBAL APPEND PROPERTY tideline_libraries tideline_${name})
  target_link_libraries(tideline_${name} PUBLIC tideline_flags ${ARG_DEPENDS} PRIVATE ${ARG_PRIVATE})
  tideline_use_precompiled(tideline_${name} tideline_pch)
  tideline_use_unity(tideline_${name})
endfunction()

# tideline_test(NAME SOURCES... DEPENDS... [LABEL unit]): one GoogleTest binary, each of its cases a test of its own.
function(tideline_test name)
  if(NOT TIDELINE_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "WHOLE" "LABEL;TIMEOUT" "SOURCES;DEPENDS" ${ARGN})
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE tideline_flags ${ARG_DEPENDS} fmt::fmt GTest::gtest GTest::gmock GTest::gtest_main)
  target_compile_options(${name} PRIVATE ${TIDELINE_TEST_OPTIONS})
  tideline_use_precompiled(${name} tideline_test_pch)
  tideline_use_unity(${name})
  set(environment "TIDELINE_BINARY=${PROJECT_BINARY_DIR}/bin/tideline;TIDELINE_SOURCE_DIR=${PROJECT_SOURCE_DIR};TIDELINE_THIRD_PARTY=${TIDELINE_THIRD_PARTY};RC_PARAMS=seed=2018")
  if(ARG_WHOLE)
    # For binaries whose cases share expensive set-up: run as one test.
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT} ENVIRONMENT "${environment}")
  else()
    gtest_discover_tests(${name} TEST_PREFIX "${name}." DISCOVERY_MODE PRE_TEST
                         PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT})
    # A list among those PROPERTIES would be taken apart and lose all but its first entry, so it is set by a script of its own.
    set(script "${CMAKE_CURRENT_BINARY_DIR}/${name}_environment.cmake")
    file(WRITE "${script}" "foreach(test IN LISTS ${name}_TESTS)\n"
                           "  set_tests_properties(\"\${test}\" PROPERTIES ENVIRONMENT \"${environment}\")\nendforeach()\n")
    set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES "${script}")
  endif()
endfunction()
