# jobmill_module(<folder> LINK <modules and libraries> [CONFORMANCE <contracts>] [THREADS])
# Every src/<folder>/**.cc becomes jobmill_<folder>; every *_test.cc becomes a case of its test
# program. The LINK list is the module's allowed dependencies: tools/check_layers.py reads it and
# fails if a file includes a module that is not named there. CONFORMANCE adds suites of
# tests/conformance/ to its test program; THREADS has it run under the thread sanitizer, too.
set(JOBMILL_WARNINGS -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)

# Applies to every target of ours, so that one binary is never half instrumented.
if(JOBMILL_SANITIZE)
  add_compile_options(-fsanitize=${JOBMILL_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${JOBMILL_SANITIZE})
  if(JOBMILL_SANITIZE MATCHES "undefined")
    # Without the four checks that double the compile time; AddressSanitizer sees what most of
    # them would.
    add_compile_options(-fno-sanitize-recover=undefined -fno-sanitize=vptr,null,alignment,object-size)
  endif()
  if(JOBMILL_SANITIZE MATCHES "thread")
    add_compile_options(-Wno-tsan)  # g++ 12 warns of fences that Asio has and TSan cannot model
  endif()
endif()

if(JOBMILL_TESTS)
  find_library(RAPIDCHECK rapidcheck REQUIRED)  # property tests
endif()

# Tests of what has threads: they also run under the thread sanitizer. Engines have none.
add_custom_target(threaded_tests)

function(jobmill_test name)
  cmake_parse_arguments(ARG "THREADS" "LABELS" "SOURCES;LINK" ${ARGN})
  add_executable(${name}_test ${ARG_SOURCES})
  target_link_libraries(${name}_test PRIVATE ${ARG_LINK} jobmill_testing ${RAPIDCHECK})
  target_compile_options(${name}_test PRIVATE ${JOBMILL_WARNINGS})
  if(JOBMILL_SANITIZE MATCHES "undefined")  # of what is tested, not of the tests: a quarter less to wait
    target_compile_options(${name}_test PRIVATE -fno-sanitize=undefined)
  endif()
  add_test(NAME ${name} COMMAND ${name}_test)
  set(labels unit)
  if(ARG_LABELS)
    set(labels "${ARG_LABELS}")
  endif()
  if(ARG_THREADS)
    list(APPEND labels threads)
    add_dependencies(threaded_tests ${name}_test)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${labels}")
endfunction()

function(jobmill_module name)
  cmake_parse_arguments(ARG "THREADS" "" "LINK;CONFORMANCE" ${ARGN})
  set(threads "")
  if(ARG_THREADS)
    set(threads THREADS)
  endif()
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/${name}/*.cc")
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  set(vectors ${tests})
  list(FILTER vectors INCLUDE REGEX "_vectors_test\\.cc$")
  list(FILTER tests EXCLUDE REGEX "_vectors_test\\.cc$")
  foreach(contract IN LISTS ARG_CONFORMANCE)
    list(APPEND tests "${PROJECT_SOURCE_DIR}/tests/conformance/${contract}.cc")
  endforeach()
  list(FILTER sources EXCLUDE REGEX "(_test|/main)\\.cc$")

  set(links "")
  foreach(dep IN LISTS ARG_LINK)
    if(IS_DIRECTORY "${PROJECT_SOURCE_DIR}/src/${dep}")
      list(APPEND links jobmill_${dep})
    else()
      list(APPEND links ${dep})
    endif()
  endforeach()

  if(sources)
    add_library(jobmill_${name} STATIC ${sources})
    set(scope PUBLIC)
    target_compile_options(jobmill_${name} PRIVATE ${JOBMILL_WARNINGS})
  else()
    add_library(jobmill_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(jobmill_${name} ${scope} "${PROJECT_SOURCE_DIR}/src" "${PROJECT_SOURCE_DIR}/include")
  target_link_libraries(jobmill_${name} ${scope} ${links})

  if(JOBMILL_TESTS)
    if(tests)
      jobmill_test(${name} SOURCES ${tests} LINK jobmill_${name} ${threads})
    endif()
    if(vectors)  # a label of their own: ctest -L vectors
      jobmill_test(${name}_vectors SOURCES ${vectors} LINK jobmill_${name} LABELS vectors)
    endif()
  endif()
endfunction()
