# Flags of our own code only: they hang on an INTERFACE target, so that nothing leaks to users of the library.
add_library(tideline_flags INTERFACE)
target_compile_options(tideline_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wconversion
                                                -Wno-sign-conversion -Wno-missing-field-initializers)
target_include_directories(tideline_flags INTERFACE "${PROJECT_SOURCE_DIR}/src")
# Whoever embeds the library may do so in a plug-in, that is in a shared library. Programs and the precompiled header are compiled
# alike; functions are inlined all the same, since nobody replaces ours at run time.
target_compile_options(tideline_flags INTERFACE -fPIC $<$<CXX_COMPILER_ID:GNU>:-fno-semantic-interposition>)
if(TIDELINE_WERROR)
  target_compile_options(tideline_flags INTERFACE -Werror)
endif()
if(TIDELINE_SANITIZE)
  target_compile_options(tideline_flags INTERFACE -fsanitize=${TIDELINE_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(tideline_flags INTERFACE -fsanitize=${TIDELINE_SANITIZE})
endif()
if(TIDELINE_FUZZ)
  # Coverage for every library; the fuzz targets add the driver.
  target_compile_options(tideline_flags INTERFACE -fsanitize=fuzzer-no-link,address,undefined
                         -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(tideline_flags INTERFACE -fsanitize=address,undefined)
endif()
