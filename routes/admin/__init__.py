"""The operator's page at `/admin`: its files, its sessions, and what it shows and does."""

from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from routes.admin.files import PageHandlers
from routes.admin.handlers import DeskHandlers
from routes.admin.session import SessionHandlers
from routes.guards import LIVE, SESSION, Guard
from routes.routing import route
from routes.services import RouteServices

__all__ = ["handlers"]


def handlers(services: RouteServices, guard: Guard) -> list[HTTPRouteHandler]:
    page = PageHandlers(services.settings)
    found = [
        route("/admin", HttpMethod.GET, page.index),
        route("/admin/{path:path}", HttpMethod.GET, page.file),
    ]
    if services.operator is None:
        return found
    session = SessionHandlers(services, guard)
    desk = DeskHandlers(services, services.operator, guard)
    account = "/admin/api/accounts/{id:str}"
    return [
        *found,
        route(SESSION, HttpMethod.GET, session.state),
        route(SESSION, HttpMethod.POST, session.sign_in),
        route(SESSION, HttpMethod.DELETE, session.sign_out),
        route("/admin/api/view", HttpMethod.GET, desk.view),
        route(LIVE, HttpMethod.GET, desk.live),
        route(account, HttpMethod.GET, desk.account),
        route(f"{account}/probe", HttpMethod.POST, desk.probe),
        route(f"{account}/enable", HttpMethod.POST, desk.enable),
        route(f"{account}/disable", HttpMethod.POST, desk.disable),
        route(f"{account}/clear", HttpMethod.POST, desk.clear),
    ]
