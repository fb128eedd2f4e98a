package desk

import (
	"context"
	"slices"

	"tocsin.dev/services/desk/api"
)

// apiServer answers the operations of schemas/openapi.yaml with the acts and views of the desk.
type apiServer struct{ s *Service }

var _ api.StrictServerInterface = (*apiServer)(nil)

func (a *apiServer) SignIn(ctx context.Context, r api.SignInRequestObject) (api.SignInResponseObject, error) {
	from, _ := ctx.Value(addressKey).(string)
	user, err := a.s.signIn(ctx, from, r.Body.User, r.Body.Password)
	if err != nil {
		return nil, err
	}
	me, err := a.s.me(user)
	return api.SignIn200JSONResponse(me), err
}

func (a *apiServer) SignOut(ctx context.Context, _ api.SignOutRequestObject) (api.SignOutResponseObject, error) {
	return api.SignOut204Response{}, a.s.sessions.Destroy(ctx)
}

func (a *apiServer) GetMe(ctx context.Context, _ api.GetMeRequestObject) (api.GetMeResponseObject, error) {
	me, err := a.s.me(who(ctx))
	return api.GetMe200JSONResponse(me), err
}

func (a *apiServer) GetOrganisation(ctx context.Context, _ api.GetOrganisationRequestObject) (api.GetOrganisationResponseObject, error) {
	org, err := a.s.cfg.Organisations.Get(who(ctx).Org)
	if err != nil {
		return nil, err
	}
	return api.GetOrganisation200JSONResponse(*org), nil
}

func (s *Service) me(u User) (api.Me, error) {
	org, err := s.cfg.Organisations.Get(u.Org)
	if err != nil {
		return api.Me{}, err
	}
	me := api.Me{ID: u.ID, Name: u.Name, Organisation: u.Org, OrganisationName: org.Name, Languages: append([]string{}, u.Reads...)}
	for _, r := range u.Roles {
		me.Roles = append(me.Roles, api.MeRoles(r))
	}
	return me, nil
}

// pageSize is how many entries a page has if nothing was asked for.
const pageSize = 50

// page cuts a list after the entry that the cursor names, and returns the next cursor.
func page[T any](all []T, id func(T) string, cursor string, limit int) ([]T, string) {
	if limit <= 0 || limit > 1000 {
		limit = pageSize
	}
	if cursor != "" {
		i := slices.IndexFunc(all, func(t T) bool { return id(t) == cursor })
		all = all[i+1:]
	}
	if len(all) <= limit {
		return all, ""
	}
	return all[:limit], id(all[limit-1])
}
