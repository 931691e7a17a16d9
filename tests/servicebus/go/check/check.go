// Package check runs named cases side by side and prints one line for each.
package check

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// Case is one named promise of the server; its name is also its queue's.
type Case struct {
	Name string
	Run  func(t *T)
}

// T collects what went wrong in one case. Fatalf ends the case, as in package testing.
type T struct {
	Queue string
	Ctx   context.Context
}

type failure string

func (t *T) Fatalf(format string, words ...any) {
	where := ""
	for depth := 1; depth < 8; depth++ {
		_, file, line, ok := runtime.Caller(depth)
		if ok && strings.HasSuffix(file, "main.go") {
			where += fmt.Sprintf("%d ", line)
		}
	}
	panic(failure("line " + where + fmt.Sprintf(format, words...)))
}

// Must is for calls that have to succeed.
func (t *T) Must(err error) {
	if err != nil {
		t.Fatalf("%T: %v", err, err)
	}
}

func (t *T) Check(truth bool, format string, words ...any) {
	if !truth {
		t.Fatalf(format, words...)
	}
}

func (t *T) Same(wanted, got any, what string) {
	if !reflect.DeepEqual(wanted, got) {
		t.Fatalf("%s: wanted %#v, got %#v", what, wanted, got)
	}
}

// Get is Must for calls that also return a value.
func Get[V any](t *T) func(V, error) V {
	return func(value V, err error) V {
		t.Must(err)
		return value
	}
}

// A client that hangs is a failure like any other.
const deadline = 400 * time.Second

// Run runs the cases whose names are on the command line (all without any) and exits.
func Run(title string, cases []Case, atOnce int) {
	wanted := map[string]bool{}
	for _, name := range os.Args[1:] {
		wanted[name] = true
	}
	room := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	var mutex sync.Mutex
	count, failed := 0, 0
	for _, each := range cases {
		if len(wanted) > 0 && !wanted[each.Name] {
			continue
		}
		count++
		room <- struct{}{}
		all.Add(1)
		go func() {
			defer all.Done()
			defer func() { <-room }()
			start := time.Now()
			problem := outcome(each)
			mutex.Lock()
			defer mutex.Unlock()
			if problem != "" {
				failed++
				fmt.Printf("FAILED %s: %s\n", each.Name, problem)
			} else {
				fmt.Printf("ok %s (%.1f s)\n", each.Name, time.Since(start).Seconds())
			}
		}()
	}
	all.Wait()
	fmt.Printf("azservicebus %s %s: %d cases, %d failed\n", version(), title, count, failed)
	if failed > 0 || count == 0 {
		os.Exit(1)
	}
}

func outcome(each Case) string {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	done := make(chan string, 1)
	go func() {
		defer func() {
			switch problem := recover().(type) {
			case nil:
				done <- ""
			case failure:
				done <- string(problem)
			default:
				done <- fmt.Sprintf("%v\n%s", problem, debug.Stack())
			}
		}()
		each.Run(&T{Queue: each.Name, Ctx: ctx})
	}()
	select {
	case problem := <-done:
		return problem
	case <-time.After(deadline + time.Second):
		return fmt.Sprintf("not done after %v", deadline)
	}
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if strings.HasSuffix(module.Path, "/azservicebus") {
			return module.Version
		}
	}
	return "?"
}
