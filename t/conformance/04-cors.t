# Who may call from another origin, and what the preflight says.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Test::More;

my $server = server(
    main => [ [ heartbeat_zone => '1m' ] ],
    vhosts => [ {
        name => 'one.test',
        locations => {
            '/listed' => { endpoint => 'ping', settings => [ [ heartbeat_origin => 'https://a.example', 'http://b.example:8080' ] ] },
            '/any' => { endpoint => 'ping', settings => [ [ heartbeat_origin => '*' ] ] },
            '/own' => { endpoint => 'ping' },
            '/page' => { endpoint => 'page', settings => [ [ heartbeat_origin => 'https://a.example' ] ] },
        },
    } ],
)->start;

sub asked { my ($method, $path, $origin, @more) = @_; return $server->fetch($method, $path, headers => [ "Origin: $origin", @more ]) }

for my $origin ('https://a.example', 'http://b.example:8080') {
    subtest "listed: $origin" => sub {
        for my $method (qw(HEAD GET)) {
            my $r = asked($method, '/listed', $origin);
            is($r->status, 204, $method);
            is($r->header('access-control-allow-origin'), $origin, 'this very origin');
            is($r->header('access-control-allow-credentials'), 'true', 'with cookies');
            like($r->header('vary') // '', qr/\bOrigin\b/i, 'Vary');
        }
    };
}

subtest 'not listed' => sub {
    for my $origin ('https://evil.example', 'http://a.example', 'https://a.example.evil.example', 'https://a.example:444', 'null', 'https://a.exampl') {
        my $r = asked('HEAD', '/listed', $origin);
        is($r->status, 204, "$origin: a normal answer");
        is(join('', grep {/^access-control/} keys %{ $r->{headers} }), '', 'without CORS headers');
    }
    is(asked('HEAD', '/own', 'https://a.example')->header('access-control-allow-origin'), undef, 'no setting: nobody');
};

subtest 'any origin' => sub {
    my $r = asked('HEAD', '/any', 'https://whoever.example');
    is($r->status, 204, 'status 204');
    is($r->header('access-control-allow-origin'), '*', 'everybody');
    is($r->header('access-control-allow-credentials'), undef, 'but without cookies');
};

subtest 'preflight, allowed' => sub {
    for my $case ([ '/listed', 'https://a.example', 'https://a.example' ], [ '/any', 'https://x.example', '*' ]) {
        my ($path, $origin, $expected) = @$case;
        my $c = $server->connect;
        my $r = $c->request('OPTIONS', $path,
            headers => [ "Origin: $origin", 'Access-Control-Request-Method: HEAD', 'Access-Control-Request-Headers: authorization' ]);
        is($r->status, 204, "$path: 204");
        is($r->header('access-control-allow-origin'), $expected, 'origin');
        like($r->header('access-control-allow-methods') // '', qr/\bHEAD\b.*\bGET\b|\bGET\b.*\bHEAD\b/, 'methods');
        like($r->header('access-control-allow-headers') // '', qr/\S/, 'headers');
        like($r->header('access-control-max-age') // '', qr/^[1-9]\d*$/, 'a max-age');
        is($c->rest(0.1), '', 'no body');
        is($c->request('HEAD', $path, headers => ["Origin: $origin"])->status, 204, 'the ping follows on the same connection');
    }
};

subtest 'preflight, not allowed' => sub {
    for my $case ([ '/listed', 'https://evil.example' ], [ '/own', 'https://a.example' ]) {
        my ($path, $origin) = @$case;
        my $r = asked('OPTIONS', $path, $origin, 'Access-Control-Request-Method: HEAD');
        is($r->status, 405, "$path: 405");
        is($r->header('access-control-allow-origin'), undef, 'no CORS header');
    }
    is($server->fetch('OPTIONS', '/listed')->status, 405, 'no Origin at all: 405');
};

subtest 'the page' => sub {
    my $r = asked('GET', '/page', 'https://a.example');
    is($r->status, 200, 'status 200');
    is($r->header('access-control-allow-origin'), 'https://a.example', 'this origin');
};

no_bad_log_lines();
done_testing;
