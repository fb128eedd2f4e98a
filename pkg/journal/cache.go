package journal

import (
	"container/list"

	"tocsin.dev/pkg/casefile"
)

// caseCache keeps the most recently used cases. It is guarded by its owner.
type caseCache struct {
	size  int
	order *list.List // of *cached, most recently used first
	byKey map[string]*list.Element
}

type cached struct {
	key string
	c   *casefile.Case
}

func newCaseCache(size int) *caseCache {
	return &caseCache{size: size, order: list.New(), byKey: map[string]*list.Element{}}
}

func (l *caseCache) get(key string) *casefile.Case {
	el := l.byKey[key]
	if el == nil {
		return nil
	}
	l.order.MoveToFront(el)
	return el.Value.(*cached).c
}

// put stores a case unless a newer one is there already.
func (l *caseCache) put(key string, c *casefile.Case) {
	if el := l.byKey[key]; el != nil {
		if held := el.Value.(*cached); held.c.Seq < c.Seq {
			held.c = c
		}
		l.order.MoveToFront(el)
		return
	}
	l.byKey[key] = l.order.PushFront(&cached{key, c})
	if l.order.Len() > l.size {
		last := l.order.Back()
		delete(l.byKey, last.Value.(*cached).key)
		l.order.Remove(last)
	}
}
