# What waits in the spool is delivered, or goes, whatever was done to it or to the Redis it waits for.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Heartbeat::Token;
use Test::More;

my $SECRET = 'of page views, long enough to be one';
my $keys = Heartbeat::Token::key_file(workplace(), 'views.key', $SECRET);
my $folders = 0;

sub place {
    my (@redis) = @_;
    my $spool = workplace() . '/spool' . ++$folders;
    my $server = server(
        main => [ [ heartbeat_zone => '2m' ], [ heartbeat_flush => '200ms' ], [ heartbeat_spool => $spool ] ],
        vhosts => [ map { { name => "site$_.test", settings => [ [ heartbeat_key_file => $keys ], [ heartbeat_redis => $redis[$_] ] ], locations => { both_endpoints(), '/hb/beacon' => { endpoint => 'beacon' } } } } 0 .. $#redis ],
    );
    $server->configtest; # makes the directory, for the user that the server will have
    return { server => $server, spool => $spool };
}

sub send_batch {
    my ($place, $vid, $n) = @_;
    my $token = Heartbeat::Token::mint($SECRET, vid => $vid);
    is($place->{server}->fetch('POST', "/hb/beacon?v=$token&n=$n", body => "batch $n", host => 'site0.test')->status, 204, "$vid $n is taken");
}

sub has { my ($redis, $vid, $n) = @_; return ($redis->call('HGET', "hb:{site0.test}:batch:$vid", $n) // '') eq "batch $n" }

subtest 'a dead server whose last record was torn' => sub {
    my $redis = redis();
    my $place = place($redis->url);
    my $name = "$place->{spool}/00000000000000ab-0000000000000000.spool";
    open my $file, '>', $name or die "$name: $!";
    print $file "\xF5hb1 and no more of it";
    close $file;
    chown((stat $place->{spool})[ 4, 5 ], $name);
    $place->{server}->start;
    ok(eventually(sub { !-e $name }, 40), 'what can be read of it is nothing: it goes');
};

subtest 'a site that goes back to the Redis it had' => sub {
    my ($one, $two) = (redis(), redis());
    my $place = place($one->url, $one->url);
    my ($setting) = grep { $_->[0] eq 'heartbeat_redis' } @{ $place->{server}{vhosts}[0]{settings} };
    $place->{server}->start;
    send_batch($place, 'first', 0);
    ok(eventually(sub { has($one, 'first', 0) }, 5), 'arrives');
    $setting->[1] = $two->url;
    $place->{server}->reload;
    sleep 1;
    send_batch($place, 'second', 0);
    ok(eventually(sub { has($two, 'second', 0) }, 5), 'in the other one');
    $setting->[1] = $one->url;
    $place->{server}->reload;
    sleep 1;
    send_batch($place, 'third', 0);
    ok(eventually(sub { has($one, 'third', 0) }, 5), 'in the first again');
};

subtest 'a Redis that lost its last second, and took longer to come back than what it had stays' => sub {
    my $redis = redis();
    my $place = place($redis->url);
    $place->{server}->start;
    send_batch($place, 'late', 0);
    ok(eventually(sub { has($redis, 'late', 0) }, 5), 'arrives');
    $redis->kill;
    sleep 23;
    $redis->start;
    ok(eventually(sub { has($redis, 'late', 0) }, 15), 'it is sent again');
};

subtest 'more page views to look at than beacons come' => sub {
    my $redis = redis();
    my $place = place($redis->url);
    $redis->call('ZADD', 'hb:{site0.test}:views', map { (1, "view-$_") } 1 .. 6000);
    $place->{server}->start;
    send_batch($place, 'one', 0);
    ok(eventually(sub { $redis->call('ZCOUNT', 'hb:{site0.test}:views', 1, 1) == 0 }, 10), 'they do not pile up');
};

subtest 'a page that tries again for as long as nothing can be kept' => sub {
    my $redis = redis();
    my $place = place($redis->url);
    $place->{server}->start;
    rename $place->{spool}, "$place->{spool}.gone" or die $!;
    my $token = Heartbeat::Token::mint($SECRET, vid => 'patient');
    my $try = sub { $place->{server}->fetch('POST', "/hb/beacon?v=$token&n=0", body => 'x' x 65000, host => 'site0.test')->status };
    is_deeply([ map { $try->() } 1 .. 20 ], [ (503) x 20 ], 'is not refused for good');
    rename "$place->{spool}.gone", $place->{spool} or die $!;
    is($try->(), 204, 'and is heard in the end');
};

no_bad_log_lines(qr/heartbeat_spool: /);
done_testing;
